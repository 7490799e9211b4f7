import { AgentError } from '../api/errors.ts';
import type { Checksum } from './checksum.ts';

/** Where an image is in a registry. */
export type OciReference = {
  /** Host and port that are asked. */
  registry: string;
  repository: string;
  /** Tag or digest, as the registry's API takes it. */
  version: string;
  digest: Checksum | undefined;
  /** `user:password` of the URL. */
  userinfo: string | undefined;
};

/** Grammar of the field: distribution/reference/regexp.go. */
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/** Names that are not the host that answers. */
const REGISTRIES: ReadonlyMap<string, string> = new Map([
  ['docker.io', 'registry-1.docker.io'],
  ['index.docker.io', 'registry-1.docker.io'],
]);

/** @returns undefined for what is no digest of a known algorithm */
export function readDigest(text: string): Checksum | undefined {
  const [algorithm = '', hex = ''] = DIGEST.test(text) ? text.split(':') : [];
  return algorithm === '' ? undefined : { algorithm, hex };
}

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', `cannot use the oci:// URL: ${why}`);
}

export function isOciUrl(text: string): boolean {
  return /^oci:\/\//i.test(text);
}

/**
 * Reads `oci://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]`; without a tag it is `latest`, a digest goes before a tag.
 * @throws AgentError `InvalidCommandParamsError` that does not repeat a password
 */
export function parseOciUrl(text: string): OciReference {
  const [, userinfo, host = '', path = ''] = /^oci:\/\/(?:([^/@]*)@)?([^/@]+)\/([^?#]+)$/i.exec(text) ?? [];
  if (!URL.canParse(`https://${host}/`) || host === '') throw refuse('it is oci://HOST/REPOSITORY:TAG or …@DIGEST');
  const [named = '', digestText, ...more] = path.split('@');
  // Ironic's own examples have an empty tag before a digest.
  const [repository = '', tag, ...tooMuch] = named.split(':');
  if (more.length > 0 || tooMuch.length > 0) throw refuse('it has more than one digest or tag');
  if (!REPOSITORY.test(repository)) throw refuse(`${repository} is no name of a repository (lower case, a/b/c)`);
  const digest = digestText === undefined ? undefined : readDigest(digestText);
  if (digestText !== undefined && !digest) throw refuse('its digest is neither sha256:… nor sha512:… in lower case');
  if (tag && !TAG.test(tag)) throw refuse('its tag has characters that tags do not have');
  const isHub = REGISTRIES.has(host) && !repository.includes('/');
  return {
    registry: REGISTRIES.get(host) ?? host,
    repository: isHub ? `library/${repository}` : repository,
    version: digestText ?? (tag || 'latest'),
    digest,
    userinfo: userinfo || undefined,
  };
}

/** A blob of a registry by its plain URL, which is what Ironic makes of oci:// URLs. */
export function parseBlobUrl(url: string): { repository: string; digest: Checksum } | undefined {
  const path = /^https?:/i.test(url) ? URL.parse(url)?.pathname : undefined;
  const [, repository, digestText] = /^\/v2\/(.+)\/blobs\/(sha\d+(?::|%3a)[a-f0-9]+)$/i.exec(path ?? '') ?? [];
  const digest = digestText === undefined ? undefined : readDigest(digestText.replace(/%3a/i, ':'));
  return repository === undefined || !digest ? undefined : { repository, digest };
}
