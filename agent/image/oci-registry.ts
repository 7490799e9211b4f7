import { createHash } from 'node:crypto';

import { AgentError } from '../api/errors.ts';
import type { Clock } from '../os/door.ts';
import type { Checksum } from './checksum.ts';
import { HttpFailure, speaksNoTls } from './http-failure.ts';
import { basicHeader, type HttpOptions } from './http-request.ts';
import { openHttpSource } from './http-source.ts';
import { registryLogin } from './oci-login.ts';
import { findLayer, type Layer, MANIFEST_TYPES, type Manifest, rankIndex, readManifest } from './oci-manifest.ts';
import { type OciReference, parseOciUrl, readDigest } from './oci-reference.ts';
import { readAll } from './source.ts';

/** Registries themselves take no larger manifests (distribution-spec 1.1, "Pushing Manifests"). */
const MOST_MANIFEST_BYTES = 4 * 1024 ** 2;
const MOST_TOKEN_BYTES = 64 * 1024;
/** Manifests that are looked into to find a disk image; an index with more is no list of disk images. */
const MOST_MANIFESTS = 16;

type Asking = { http: HttpOptions; clock: Clock; signal: AbortSignal };

async function fetchFile(url: string, { http, clock, signal }: Asking, mostBytes: number): Promise<Buffer> {
  const source = await openHttpSource(url, http, clock, signal);
  try {
    return await readAll(source, mostBytes, signal);
  } finally {
    await source.close();
  }
}

/** Adds what answers a registry's challenges; tokens are had anew whenever one has run out. */
export function withLogin(repository: string, http: HttpOptions, clock: Clock): HttpOptions {
  const plain: HttpOptions = { ...http };
  delete plain.authorization;
  delete plain.headers;
  const login = registryLogin(repository, http.authorization, async (url, authorization, signal) => {
    const options = { ...plain, ...(authorization !== undefined && { authorization }) };
    try {
      return await fetchFile(url, { http: options, clock, signal }, MOST_TOKEN_BYTES);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      throw new HttpFailure(`logging in failed: ${error.details}`, false, { cause: error });
    }
  });
  return { ...http, authorize: login };
}

type Registry = Asking & { base: string; name: string };

/** A tag's manifest or index, or a digest's, which is checked. */
async function fetchManifest(registry: Registry, version: string): Promise<ReturnType<typeof readManifest>> {
  const http = { ...registry.http, headers: { ...registry.http.headers, accept: MANIFEST_TYPES } };
  const bytes = await fetchFile(`${registry.base}/manifests/${version}`, { ...registry, http }, MOST_MANIFEST_BYTES);
  const digest = readDigest(version);
  if (digest && createHash(digest.algorithm).update(bytes).digest('hex') !== digest.hex)
    throw new AgentError('ImageDownloadError', `cannot use ${registry.name}: its manifest is not that of ${version}`);
  return readManifest(bytes, registry.name);
}

function refuse(registry: Registry, why: string): AgentError {
  return new AgentError('InvalidImage', `cannot use ${registry.name}: ${why}`);
}

function layerOf(registry: Registry, manifest: Manifest): Layer {
  const found = findLayer(manifest);
  if (typeof found === 'string') throw refuse(registry, found);
  return found;
}

async function findImage(registry: Registry, version: string, architecture: string): Promise<Layer> {
  const { index, manifest } = await fetchManifest(registry, version);
  if (manifest) return layerOf(registry, manifest);
  const reasons = new Set<string>();
  for (const entry of rankIndex(index, architecture, registry.name).slice(0, MOST_MANIFESTS)) {
    if (!readDigest(entry.digest)) continue;
    const { manifest: its } = await fetchManifest(registry, entry.digest);
    const found = its ? findLayer(its, entry) : 'it is an index in an index';
    if (typeof found !== 'string') return found;
    reasons.add(found);
  }
  throw refuse(registry, [...reasons].join('; ') || 'nothing in its index has a digest of SHA-256 or SHA-512');
}

export type OciImage = { url: string; http: HttpOptions; checksum: Checksum; format: Layer['format'] };

async function findAt(
  scheme: 'https' | 'http',
  reference: OciReference,
  asking: Asking,
  architecture: string,
): Promise<OciImage> {
  const { repository, version } = reference;
  const base = `${scheme}://${reference.registry}/v2/${repository}`;
  const name = `oci://${reference.registry}/${repository}${reference.digest ? '@' : ':'}${version}`;
  const http = withLogin(repository, asking.http, asking.clock);
  const { digest, format } = await findImage({ ...asking, http, base, name }, version, architecture);
  return { url: `${base}/blobs/${digest.algorithm}:${digest.hex}`, http, checksum: digest, format };
}

/**
 * Finds the disk image that an `oci://` URL means: through an index to the manifest for this architecture, and to its one layer.
 * @param architecture Node's name of it
 * @returns the layer's URL, and how to ask for it; its digest is what the bytes must hash to
 * @throws AgentError `ImageDownloadError`, `InvalidImage` where it is no disk image, `InvalidCommandParamsError`
 */
export async function findOciImage(
  text: string,
  http: HttpOptions,
  clock: Clock,
  architecture: string,
  signal: AbortSignal,
): Promise<OciImage> {
  const reference = parseOciUrl(text);
  const { userinfo } = reference;
  const own = userinfo === undefined ? {} : { authorization: basicHeader(userinfo) };
  const asking = { http: { ...own, ...http }, clock, signal };
  try {
    return await findAt('https', reference, asking, architecture);
  } catch (error) {
    // As podman with --tls-verify=false, and Ironic where it may.
    if (http.tls.rejectUnauthorized || !(error instanceof AgentError) || !speaksNoTls(error.cause)) throw error;
    return findAt('http', reference, asking, architecture);
  }
}
