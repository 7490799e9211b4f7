import { AgentError } from '../api/errors.ts';
import type { AgentOs } from '../os/door.ts';
import { openFileSource } from './file-source.ts';
import type { HttpOptions } from './http-request.ts';
import { openHttpSource } from './http-source.ts';
import type { ImageSource } from './source.ts';

/** What sources of images need to know and to have. */
export type OpenOptions = {
  http: HttpOptions;
  os: Pick<AgentOs, 'clock' | 'openFile'>;
  /** Folders that `file://` URLs may read from; none without it. `/` is all. */
  fileFolders?: readonly string[] | undefined;
};

export type OpenedImage = ImageSource & { close: () => Promise<void> };

/** Whether a text is the address of a file rather than the content of one. */
export function isFetchable(text: string): boolean {
  return /^(?:https?|file):\/\//i.test(text);
}

/**
 * Opens an image wherever it is.
 * @param url `http`, `https` or `file`
 * @throws AgentError `ImageDownloadError`
 */
export async function openImage(url: string, options: OpenOptions, signal: AbortSignal): Promise<OpenedImage> {
  const { os, http, fileFolders } = options;
  if (/^file:/i.test(url)) return openFileSource(url, os, fileFolders ?? []);
  return openHttpSource(url, http, os.clock, signal);
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
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const bytes of source.stream(signal)) {
      length += bytes.length;
      if (length > mostBytes)
        throw new AgentError('ImageDownloadError', `cannot use ${source.name}: it is longer than ${mostBytes} bytes`);
      parts.push(bytes);
    }
    return Buffer.concat(parts);
  } finally {
    await source.close();
  }
}
