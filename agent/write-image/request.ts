import { pathToFileURL } from 'node:url';

import { usageFailure, type Values } from '../../cli/options.ts';
import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { readTlsFiles } from '../config/tls.ts';
import { readChecksum, type WantedChecksum } from '../image/checksum.ts';
import type { DeliveryOptions } from '../image/deliver.ts';
import { hashName } from '../image/hash-names.ts';
import { isOciUrl } from '../image/oci-reference.ts';
import { isFetchable } from '../image/open.ts';
import type { ImageRequest } from '../image/request.ts';
import { readVerifyLevel } from '../image/verify.ts';
import type { AgentOs } from '../os/door.ts';
import type { WRITE_IMAGE_OPTIONS } from './options.ts';

export type WriteImageValues = Values<typeof WRITE_IMAGE_OPTIONS>;
type Environment = Readonly<Record<string, string | undefined>>;

const STALL_SECONDS = 60;
const RETRIES = 9;
const RETRY_INTERVAL_MS = 10_000;

/**
 * `[ALGORITHM:]HEX`, `[ALGORITHM:]URL` or `none`.
 * @throws Failure with exit code 2 when nothing was said, or something that no image can hash to
 */
export function readChecksumOption(text: string | undefined, isMd5Allowed: boolean): WantedChecksum | undefined {
  if (text === undefined || text === '')
    throw usageFailure(
      'cannot write an image without --checksum: nothing would show that it is whole',
      '--checksum sha256:HEX or the URL of a checksum file; --checksum none writes it unverified',
    );
  if (text === 'none') return undefined;
  const [, algorithm, value] = (isFetchable(text) ? null : /^([a-z][\w-]*):(.*)$/i.exec(text)) ?? [];
  const wanted = { algorithm: algorithm && hashName(algorithm), value: value ?? text };
  if (algorithm !== undefined && wanted.algorithm === undefined)
    throw usageFailure(`cannot use --checksum ${text}: ${algorithm} is no hash algorithm known here`, 'sha256:HEX');
  try {
    if (!isFetchable(wanted.value)) readChecksum(wanted, isMd5Allowed);
  } catch (error) {
    throw usageFailure(`cannot use --checksum ${text}: ${error instanceof AgentError ? error.details : String(error)}`);
  }
  return wanted;
}

/** A checksum file may be named by its path, too. What are digits alone is a checksum, whatever files there are. */
async function checksumFileAsUrl(text: string | undefined, files: AgentOs['files']): Promise<string | undefined> {
  if (text === undefined || text === 'none' || isFetchable(text)) return text;
  const [, algorithm = '', word = ''] = /^([a-z][\w-]*:)?(.*)$/is.exec(text) ?? [];
  const isFile = !/^[0-9a-f]*$/i.test(word) && (await files.kind(word)) === 'file';
  return isFile ? algorithm + pathToFileURL(word).href : text;
}

/** A path is the address of a file of this machine. */
function asUrl(word: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(word) ? word : pathToFileURL(word).href;
}

/** Command lines are for all to read (`ps`), so that a password in one is no secret any more. */
function checkNoPassword(url: string, what: string, instead: string): void {
  if (URL.canParse(url) && new URL(url).password !== '')
    throw usageFailure(`cannot use ${what} with a password in it: others can read command lines`, instead);
}

function basic(user: string | undefined, password: string | undefined): string | undefined {
  if (user === undefined && password === undefined) return undefined;
  if (user === undefined || password === undefined)
    throw usageFailure('cannot log in: INGOT_IMAGE_USER and INGOT_IMAGE_PASSWORD only make sense together');
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** RFC 9110 5.1: a token, a colon, a value. Empty lines and lines with # are none. */
function parseHeaders(text: string, path: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of text.split(/\r?\n/).filter((one) => one.trim() !== '' && !one.startsWith('#'))) {
    const [, name, value] = /^([!#$%&'*+.^`|~\w-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    // The line itself may be a secret.
    if (name === undefined || value === undefined)
      throw usageFailure(`cannot use --header-file ${path}: a line of it is no "Name: value"`);
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

async function readHeaders(path: string | undefined, files: AgentOs['files']): Promise<Record<string, string>> {
  if (path === undefined) return {};
  const text = await files.read(path);
  if (text === undefined) throw usageFailure(`cannot read --header-file ${path}`);
  return parseHeaders(text, path);
}

/** As curl has it: a proxy that is named, or those of the environment; the upper-case form of http_proxy is not looked at (CVE-2016-5385). */
function readProxies(
  proxy: string | undefined,
  env: Environment,
): Pick<DeliveryOptions['http'], 'proxies' | 'noProxy'> {
  if (proxy !== undefined) {
    checkNoPassword(proxy, '--proxy', 'https_proxy=http://USER:PASSWORD@HOST:PORT in the environment');
    if (!/^https?:$/.test(URL.parse(proxy)?.protocol ?? ''))
      throw usageFailure(`cannot use --proxy ${proxy}: it is a URL such as http://192.0.2.1:3128`);
    return { proxies: { http: proxy, https: proxy } };
  }
  const http = env['http_proxy'] || undefined;
  const https = env['https_proxy'] || env['HTTPS_PROXY'] || undefined;
  if (http === undefined && https === undefined) return {};
  const noProxy = env['no_proxy'] || env['NO_PROXY'] || undefined;
  return {
    proxies: { ...(http !== undefined && { http }), ...(https !== undefined && { https }) },
    ...(noProxy !== undefined && { noProxy }),
  };
}

async function readTls(values: WriteImageValues, files: AgentOs['files']): Promise<DeliveryOptions['http']['tls']> {
  if ((values.cert === undefined) !== (values.key === undefined))
    throw usageFailure('cannot use --cert and --key: they only make sense together');
  const texts = await readTlsFiles(
    { cafile: values.ca, certfile: values.cert, keyfile: values.key },
    files,
    () => undefined,
  ).catch((error: unknown) => {
    throw usageFailure(`cannot use --ca, --cert or --key: ${reasonOf(error)}`);
  });
  return { rejectUnauthorized: true, minVersion: 'TLSv1.2', ...texts };
}

/**
 * What is wanted, from the command line and the environment.
 * @throws Failure with exit code 2 that names the option
 */
export async function readRequest(
  values: WriteImageValues,
  urls: readonly string[],
  os: Pick<AgentOs, 'files'>,
  env: Environment,
): Promise<{ request: ImageRequest; options: DeliveryOptions }> {
  for (const url of urls) checkNoPassword(url, 'a URL', 'INGOT_IMAGE_USER and INGOT_IMAGE_PASSWORD in the environment');
  // A registry's digest is a checksum.
  const isSaid = values.checksum !== undefined || !urls.every(isOciUrl);
  const said = await checksumFileAsUrl(values.checksum, os.files);
  const checksum = isSaid ? readChecksumOption(said, values['allow-md5']) : undefined;
  const { authorization: fromFile, ...headers } = await readHeaders(values['header-file'], os.files);
  const authorization =
    env['INGOT_IMAGE_AUTHORIZATION'] ?? basic(env['INGOT_IMAGE_USER'], env['INGOT_IMAGE_PASSWORD']) ?? fromFile;
  const options: DeliveryOptions = {
    http: {
      timeoutMs: (values.stall ?? STALL_SECONDS) * 1000,
      retries: values.retries ?? RETRIES,
      retryIntervalMs: RETRY_INTERVAL_MS,
      tls: await readTls(values, os.files),
      headers,
      ...(authorization !== undefined && { authorization }),
      ...readProxies(values.proxy, env),
    },
    isMd5Allowed: values['allow-md5'],
    // Whoever calls this may read what they may read; in the ramdisk a stranger names the URLs.
    fileFolders: ['/'],
    maxDurationMs: (values.timeout ?? 0) * 1000,
    verify: readVerifyLevel(values.verify),
  };
  const request: ImageRequest = {
    id: 'image',
    urls: urls.map(asUrl),
    checksum,
    diskFormat: values.format,
    configDrive: undefined,
    http: {},
  };
  return { request, options };
}
