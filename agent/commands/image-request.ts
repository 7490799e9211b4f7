import { clientTls } from '../config/tls.ts';
import { MOST_CONFIG_DRIVE_BYTES, unpackConfigDrive } from '../disk/config-drive.ts';
import { isUrl } from '../image/checksum.ts';
import type { DeliveryOptions } from '../image/deliver.ts';
import type { HttpOptions } from '../image/http-request.ts';
import { fetchSmallFile } from '../image/open.ts';
import { type ImageRequest, readImageInfo } from '../image/request.ts';
import type { AgentDeps } from './deps.ts';

/** Where an element or a medium may have put images that `file://` URLs name; the agent's own files and devices are elsewhere. */
const IMAGE_FOLDERS = ['/media', '/mnt', '/srv', '/shared/html', '/var/lib/ironic'];

function httpOptions({ config, tlsFiles }: AgentDeps): HttpOptions {
  return {
    timeoutMs: config.imageDownloadConnectionTimeoutSeconds * 1000,
    retries: config.imageDownloadConnectionRetries,
    retryIntervalMs: config.imageDownloadConnectionRetryIntervalSeconds * 1000,
    tls: clientTls(config, tlsFiles),
  };
}

/** How this machine is configured to fetch images. */
export function deliveryOptions(deps: AgentDeps): DeliveryOptions {
  const { config } = deps;
  return {
    http: httpOptions(deps),
    isMd5Allowed: config.md5Enabled,
    permittedFormats: config.disableDeepImageInspection ? undefined : config.permittedImageFormats,
    maxDurationMs: config.imageDownloadMaxDurationSeconds * 1000,
    fileFolders: IMAGE_FOLDERS,
    verify: config.imageVerify,
  };
}

/**
 * Reads `image_info`; what it leaves open about the image server is as the machine's configuration says.
 * @throws AgentError `InvalidCommandParamsError`
 */
export function imageRequest({ config }: AgentDeps, imageInfo: unknown): ImageRequest {
  const server = {
    image_server_auth_strategy: config.imageServerAuthStrategy,
    image_server_user: config.imageServerUser,
    image_server_password: config.imageServerPassword,
  };
  const isObject = typeof imageInfo === 'object' && imageInfo !== null;
  return readImageInfo(isObject ? { ...server, ...imageInfo } : imageInfo, config.md5Enabled);
}

/**
 * The config drive, unpacked; undefined where there is none.
 * @param value base64 of gzip, or a URL
 * @throws AgentError `InvalidCommandParamsError`, `ImageDownloadError`
 */
export async function fetchConfigDrive(
  deps: AgentDeps,
  value: string | null | undefined,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  if (value === undefined || value === null || value === '') return undefined;
  if (!isUrl(value)) return unpackConfigDrive(Buffer.from(value, 'latin1'));
  // Base64 makes it a third longer.
  const most = Math.ceil((MOST_CONFIG_DRIVE_BYTES * 4) / 3) + 4096;
  return unpackConfigDrive(await fetchSmallFile(value, { http: httpOptions(deps), os: deps.os }, most, signal));
}
