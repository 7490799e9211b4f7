import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';

import type { Architecture, KernelForm } from '../../arch/table.ts';
import type { FileEntry } from '../archive/entry.ts';
import { builderFailure } from '../failures.ts';
import type { BuilderHost } from '../host/door.ts';
import { toolCommand } from '../sysroot.ts';
import { entryBytes, readEntry } from '../tree/bytes.ts';
import { fileEntry } from '../tree/tree.ts';

/** Marks in a kernel image's first bytes, the more telling ones first (Documentation/arch/x86/boot.rst, arm64/booting.rst,
 * drivers/firmware/efi/libstub/zboot-header.S in the kernel's source). */
const MARKS: readonly { form: KernelForm; offset: number; text: string }[] = [
  { form: 'bzImage', offset: 0x2_02, text: 'HdrS' },
  { form: 'zboot', offset: 4, text: 'zimg' },
  { form: 'Image', offset: 0x38, text: 'ARM\u0064' },
  { form: 'gzip', offset: 0, text: '\u001f\u008b' },
  { form: 'pe', offset: 0, text: 'MZ' },
];

/** How many bytes of an image `kernelForm` looks at. */
const KERNEL_HEAD_BYTES = 0x2_10;

/** What a kernel image is; undefined for anything else. */
export function kernelForm(head: Uint8Array): KernelForm | undefined {
  const text = Buffer.from(head).toString('latin1');
  return MARKS.find((mark) => text.startsWith(mark.text, mark.offset))?.form;
}

/** @throws Failure `CANNOT_PACK` when the image has none of the forms that this architecture's firmware and loaders start */
export function checkKernelForm(head: Uint8Array, row: Architecture): KernelForm {
  const form = kernelForm(head);
  if (form !== undefined && row.kernelForms.includes(form)) return form;
  throw builderFailure(
    'CANNOT_PACK',
    `the kernel image is ${form ?? 'of an unknown form'}, and ${row.name} starts ${row.kernelForms.join(' or ')}`,
  );
}

/** What a tool tree must have to make a kernel image ready for loaders. */
export const KERNEL_IMAGE_TOOL_PACKAGES = ['libdeflate-tools'];

async function gzipped(host: BuilderHost, image: FileEntry, tools: string, signal: AbortSignal): Promise<FileEntry> {
  // libdeflate makes the same bytes on every processor, which zlib with its many hand-tuned forms does not promise.
  const key = createHash('sha256')
    .update(JSON.stringify(['gzip', image.digest, tools.slice(-64)]))
    .digest('hex');
  const file = await host.cache.file('kernels', key, async (temporary) => {
    await writeFile(temporary, await entryBytes(image));
    const [program, ...args] = toolCommand(tools, '/usr/bin/libdeflate-gzip');
    await host.run(program, [...args, '-12', '-n', '-f', '-S', '.gz', temporary], { signal });
    await rename(`${temporary}.gz`, temporary);
  });
  const { size, digest } = fileEntry(image.path, await readFile(file));
  return { ...image, size, digest, content: { kind: 'slice', file, offset: 0 } };
}

/**
 * The image as NAME.kernel has it: as it came, or gzip'ed. Loaders that only know EFI programs, a UKI among them, take it as it came.
 * @param tools root of a tool tree with `KERNEL_IMAGE_TOOL_PACKAGES`
 * @throws Failure `CANNOT_PACK` as `checkKernelForm`
 */
export async function servedKernel(
  host: BuilderHost,
  image: FileEntry,
  row: Architecture,
  tools: string,
  signal: AbortSignal,
): Promise<FileEntry> {
  let head: Uint8Array = new Uint8Array();
  for await (const piece of readEntry({ ...image, size: Math.min(image.size, KERNEL_HEAD_BYTES) })) head = piece;
  const form = checkKernelForm(head, row);
  return form === row.gzippedKernelForm ? gzipped(host, image, tools, signal) : image;
}
