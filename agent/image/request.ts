import { Value } from 'typebox/value';

import { type ImageInfo, ImageInfoSchema } from '../api/image.ts';
import { AgentError } from '../api/errors.ts';
import { readChecksum, type WantedChecksum, wantedChecksum } from './checksum.ts';
import type { HttpOptions } from './http-request.ts';
import { isOciUrl } from './oci-reference.ts';
import { isFetchable } from './open.ts';
import { type PartitionRequest, readPartitionRequest } from './partition-request.ts';
import { readVerifyLevel, type VerifyLevel } from './verify.ts';

/** `image_info`, checked and in our own terms. */
export type ImageRequest = {
  id: string;
  urls: string[];
  /** Undefined only where somebody said that there is none; `image_info` cannot. */
  checksum: WantedChecksum | undefined;
  diskFormat: string | undefined;
  /** Base64 of gzip, or a URL. */
  configDrive: string | undefined;
  /** Set for an image of a file system, which goes into a partition that is made for it. */
  partition?: PartitionRequest | undefined;
  /** How much is read back of what was written; as the machine is configured without it. */
  verify?: VerifyLevel | undefined;
  http: Pick<HttpOptions, 'authorization' | 'proxies' | 'noProxy'>;
};

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', `cannot use image_info: ${why}`);
}

function textOf(info: Record<string, unknown>, key: string): string | undefined {
  const value = info[key];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw refuse(`${key} is not text`);
  return value;
}

/** What it says is a secret, also when it makes no sense. */
function readHeader(base64: string): string {
  const header = Buffer.from(base64, 'base64').toString('latin1').trim();
  if (!/^[\x20-\x7e]+$/.test(header))
    throw refuse('image_request_authorization is no base64 of an Authorization header');
  return header;
}

/** Authorization as agent-protocol I.1 ranks it: the ready-made header before user and password. */
function readAuthorization(info: Record<string, unknown>): string | undefined {
  const ready = textOf(info, 'image_request_authorization');
  if (ready !== undefined) return readHeader(ready);
  if (textOf(info, 'image_server_auth_strategy') !== 'http_basic') return undefined;
  const [user, password] = [textOf(info, 'image_server_user'), textOf(info, 'image_server_password')];
  if (user === undefined || password === undefined)
    throw refuse('http_basic needs image_server_user and image_server_password');
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** `http://HOST:PORT`, or without the scheme, as python-requests has it; a password in it is not repeated. */
function readProxy(proxies: Record<string, unknown>, key: string): string | undefined {
  const text = textOf(proxies, key);
  if (text === undefined) return undefined;
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (!url || !/^(?:https?|socks5):$/.test(url.protocol) || url.hostname === '')
    throw refuse(`the proxy for ${key} is no URL such as http://192.0.2.1:3128`);
  return url.href;
}

function readHttp(info: Record<string, unknown>): ImageRequest['http'] {
  const authorization = readAuthorization(info);
  const { proxies } = info;
  const noProxy = textOf(info, 'no_proxy');
  if (proxies === undefined || proxies === null) return { ...(authorization !== undefined && { authorization }) };
  if (typeof proxies !== 'object') throw refuse('proxies is not an object');
  const [http, https] = ['http', 'https'].map((key) => readProxy(proxies as Record<string, unknown>, key));
  return {
    ...(authorization !== undefined && { authorization }),
    proxies: { ...(http !== undefined && { http }), ...(https !== undefined && { https }) },
    ...(noProxy !== undefined && { noProxy }),
  };
}

/**
 * Reads `image_info` before anything is started (agent-protocol I.1).
 * @throws AgentError `InvalidCommandParamsError` that names the key
 */
export function readImageInfo(value: unknown, isMd5Allowed: boolean): ImageRequest {
  if (!Value.Check(ImageInfoSchema, value)) {
    const [problem] = Value.Errors(ImageInfoSchema, value);
    throw refuse(problem ? `${problem.instancePath || 'it'} ${problem.message}` : 'it has the wrong form');
  }
  const info: ImageInfo & Record<string, unknown> = value;
  // A registry's digest is a checksum; a tag leaves it to the registry which, as with every container.
  const isSaid = Boolean(info.checksum ?? info.os_hash_algo ?? info.os_hash_value);
  const checksum = !isSaid && info.urls.every(isOciUrl) ? undefined : wantedChecksum(info);
  if (checksum && !isFetchable(checksum.value)) readChecksum(checksum, isMd5Allowed);
  return {
    id: info.id,
    urls: info.urls,
    checksum,
    diskFormat: textOf(info, 'disk_format'),
    configDrive: textOf(info, 'configdrive'),
    partition: info.image_type === 'partition' ? readPartitionRequest(info) : undefined,
    verify: readVerifyLevel(textOf(info, 'verify')),
    http: readHttp(info),
  };
}
