import { open, readFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';

import { addPeSections, peImageSize, peMachine, type PeSection } from '../archive/pe.ts';
import { builderFailure } from '../failures.ts';
import { type Media, mediaCommandLine } from './parts.ts';

type Source = { section: PeSection; pieces: () => AsyncIterable<Uint8Array> };

function textSection(name: string, text: string): Source {
  const bytes = Buffer.from(text);
  async function* pieces() {
    yield await Promise.resolve(bytes);
  }
  return { section: { name, size: bytes.length }, pieces };
}

async function head(pieces: AsyncIterable<Uint8Array>, length: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const piece of pieces) {
    parts.push(piece);
    size += piece.byteLength;
    if (size >= length) break;
  }
  return Buffer.concat(parts);
}

/** Sections of a unified kernel image as systemd-stub(7) names them; the kernel last, because it may want more memory than bytes. */
async function sources(media: Media): Promise<Source[]> {
  const { row, title, kernelVersion, kernel, initramfs } = media;
  const kernelHead = await head(kernel.pieces(), 0x1_00_00);
  if (peMachine(kernelHead) !== row.boot.peMachine)
    throw builderFailure('CANNOT_PACK', `the kernel is no EFI program for ${row.name}`);
  return [
    textSection('.osrel', `ID=ingot\nNAME=Ingot\nPRETTY_NAME="${title}"\n`),
    textSection('.cmdline', mediaCommandLine(media)),
    textSection('.uname', kernelVersion),
    { section: { name: '.initrd', size: initramfs.bytes }, pieces: () => createReadStream(initramfs.path) },
    { section: { name: '.linux', size: kernel.bytes, memory: peImageSize(kernelHead) }, pieces: kernel.pieces },
  ];
}

/**
 * Writes a unified kernel image: one EFI program, not signed.
 * @param stub path of systemd's stub for the architecture
 * @param path the file to write
 */
export async function writeUki(media: Media, stub: string, path: string, signal: AbortSignal): Promise<void> {
  const parts = await sources(media);
  const layout = addPeSections(
    await readFile(stub),
    parts.map((one) => one.section),
  );
  const file = await open(path, 'w', 0o644);
  try {
    await file.truncate(layout.size);
    await file.write(layout.head, 0, layout.head.byteLength, 0);
    for (const [index, { pieces }] of parts.entries()) {
      let position = layout.offsets[index] ?? 0;
      for await (const piece of pieces()) {
        signal.throwIfAborted();
        await file.write(piece, 0, piece.byteLength, position);
        position += piece.byteLength;
      }
    }
  } finally {
    await file.close();
  }
}
