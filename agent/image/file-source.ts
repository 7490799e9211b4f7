import { fileURLToPath } from 'node:url';

import { AgentError } from '../api/errors.ts';
import type { AgentOs, RegularFile } from '../os/door.ts';
import { HEAD_BYTES, ImageChanged, type OpenSource, pickRanges, groupRanges } from './source.ts';

const CHUNK_BYTES = 512 * 1024;

function refuse(what: string, why: string): AgentError {
  return new AgentError('ImageDownloadError', `cannot read ${what}: ${why}`);
}

/** RFC 8089: no host, or localhost. */
function pathOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    throw refuse('the file', 'a URL of a file is file:///PATH, with no host in it');
  }
}

/** The file's bytes from `from` to `to`, or an error: it must neither shrink nor change meanwhile. */
async function* readBytes(
  file: RegularFile,
  version: string,
  from: number,
  to: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, to - from));
  for (let position = from; position < to;) {
    signal.throwIfAborted();
    const count = await file.read(buffer.subarray(0, to - position), position);
    if ((await file.version()) !== version) throw new ImageChanged(`${file.path} changed while it was read`);
    if (count === 0) throw refuse(file.path, `it ended at byte ${position} of ${file.sizeBytes}`);
    position += count;
    yield buffer.subarray(0, count);
  }
}

/** @param folders that files may lie in, all links followed: a disk of this machine, or the agent's own secrets, are no images */
function checkFolder(file: RegularFile, folders: readonly string[]): void {
  const isInside = folders.some((folder) => file.path.startsWith(folder.endsWith('/') ? folder : `${folder}/`));
  if (!isInside)
    throw refuse(file.path, `images are read from ${folders.join(', ') || 'no folder of this machine'} alone`);
}

/**
 * Opens an image that is a file of this machine.
 * @param url `file:///PATH`
 * @throws AgentError `ImageDownloadError`
 */
export async function openFileSource(
  url: string,
  os: Pick<AgentOs, 'openFile'>,
  folders: readonly string[],
): Promise<OpenSource> {
  const file = await os.openFile(pathOf(url));
  try {
    checkFolder(file, folders);
    const version = await file.version();
    const head = Buffer.alloc(Math.min(HEAD_BYTES, file.sizeBytes));
    if ((await file.read(head, 0)) < head.length) throw refuse(file.path, 'it became shorter');
    const { sizeBytes } = file;
    return {
      name: file.path,
      sizeBytes,
      head,
      hasRanges: true,
      stream: (signal) => readBytes(file, version, 0, sizeBytes, signal),
      streamFrom: (position, signal) => readBytes(file, version, position, sizeBytes, signal),
      read: async function* (ranges, signal) {
        for (const group of groupRanges(ranges)) {
          const end = group.position + group.length;
          if (end > sizeBytes) throw refuse(file.path, `it ends at byte ${sizeBytes}, and ${end} are needed`);
          yield* pickRanges(readBytes(file, version, group.position, end, signal), group.position, group.ranges);
        }
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
