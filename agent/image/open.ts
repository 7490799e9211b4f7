import type { AgentOs } from '../os/door.ts';
import type { Checksum } from './checksum.ts';
import { openFileSource } from './file-source.ts';
import type { HttpOptions } from './http-request.ts';
import { openHttpSource } from './http-source.ts';
import { isOciUrl, parseBlobUrl } from './oci-reference.ts';
import { findOciImage, withLogin } from './oci-registry.ts';
import { type OpenSource, readAll } from './source.ts';

/** What sources of images need to know and to have. */
export type OpenOptions = {
  http: HttpOptions;
  os: Pick<AgentOs, 'clock' | 'openFile'>;
  /** Folders that `file://` URLs may read from; none without it. `/` is all. */
  fileFolders?: readonly string[] | undefined;
  /** Node's name of the machine's architecture, for images that exist for several. */
  architecture?: string | undefined;
};

export type OpenedImage = OpenSource & {
  /** What the address itself says that the file hashes to. */
  checksum?: Checksum;
  /** What a registry says of it. */
  format?: 'raw' | 'qcow2' | undefined;
};

/** Whether a text is the address of a file rather than the content of one. */
export function isFetchable(text: string): boolean {
  return /^(?:https?|file):\/\//i.test(text);
}

function digestOf(checksum: Checksum): Pick<OpenedImage, 'checksum' | 'sha256'> {
  return { checksum, ...(checksum.algorithm === 'sha256' && { sha256: checksum.hex }) };
}

/**
 * Opens an image wherever it is.
 * @param url `http`, `https`, `file` or `oci`
 * @throws AgentError `ImageDownloadError`; `InvalidImage` where a registry has something else
 */
export async function openImage(url: string, options: OpenOptions, signal: AbortSignal): Promise<OpenedImage> {
  const { os, http, fileFolders, architecture = process.arch } = options;
  if (/^file:/i.test(url)) return openFileSource(url, os, fileFolders ?? []);
  if (isOciUrl(url)) {
    const image = await findOciImage(url, http, os.clock, architecture, signal);
    const source = await openHttpSource(image.url, image.http, os.clock, signal);
    return { ...source, ...digestOf(image.checksum), format: image.format };
  }
  const blob = parseBlobUrl(url);
  if (!blob) return openHttpSource(url, http, os.clock, signal);
  const source = await openHttpSource(url, withLogin(blob.repository, http, os.clock), os.clock, signal);
  return { ...source, ...digestOf(blob.digest) };
}

/**
 * A small file as a whole.
 * @throws AgentError `ImageDownloadError` when it cannot be fetched or is longer than `mostBytes`
 */
export async function fetchSmallFile(
  url: string,
  options: OpenOptions,
  mostBytes: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const source = await openImage(url, options, signal);
  try {
    return await readAll(source, mostBytes, signal);
  } finally {
    await source.close();
  }
}
