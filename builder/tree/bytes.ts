import { open } from 'node:fs/promises';

import type { FileEntry } from '../archive/entry.ts';

const PIECE_BYTES = 1024 * 1024;

/** The bytes of a file entry, in pieces. */
export async function* readEntry(entry: FileEntry): AsyncGenerator<Uint8Array, void, undefined> {
  const { content } = entry;
  if (content.kind === 'bytes') {
    yield content.bytes;
    return;
  }
  const file = await open(content.file, 'r');
  try {
    let position = content.offset;
    const end = content.offset + entry.size;
    while (position < end) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, end - position));
      const { bytesRead } = await file.read(piece, 0, piece.byteLength, position);
      if (bytesRead === 0) throw new RangeError(`${content.file} ends before ${entry.path} does`);
      yield piece.subarray(0, bytesRead);
      position += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** All bytes of a file entry at once. */
export async function entryBytes(entry: FileEntry): Promise<Uint8Array> {
  if (entry.content.kind === 'bytes') return entry.content.bytes;
  const bytes = Buffer.allocUnsafe(entry.size);
  const file = await open(entry.content.file, 'r');
  try {
    let length = 0;
    while (length < entry.size) {
      const { bytesRead } = await file.read(bytes, length, entry.size - length, entry.content.offset + length);
      if (bytesRead === 0) throw new RangeError(`${entry.content.file} ends before ${entry.path} does`);
      length += bytesRead;
    }
  } finally {
    await file.close();
  }
  return bytes;
}
