import type { Architecture, KernelForm } from '../../arch/table.ts';
import { builderFailure } from '../failures.ts';

/** Marks in a kernel image's first bytes, the more telling ones first (Documentation/arch/x86/boot.rst, arm64/booting.rst,
 * drivers/firmware/efi/libstub/zboot-header.S in the kernel's source). */
const MARKS: readonly { form: KernelForm; offset: number; text: string }[] = [
  { form: 'bzImage', offset: 0x2_02, text: 'HdrS' },
  { form: 'zboot', offset: 4, text: 'zimg' },
  { form: 'Image', offset: 0x38, text: 'ARM\u0064' },
  { form: 'pe', offset: 0, text: 'MZ' },
];

/** How many bytes of an image `kernelForm` looks at. */
export const KERNEL_HEAD_BYTES = 0x2_10;

/** What a kernel image is; undefined for anything else. */
export function kernelForm(head: Uint8Array): KernelForm | undefined {
  const text = Buffer.from(head).toString('latin1');
  return MARKS.find((mark) => text.startsWith(mark.text, mark.offset))?.form;
}

/** @throws Failure `CANNOT_PACK` when the image has none of the forms that this architecture's firmware and loaders start */
export function checkKernelForm(head: Uint8Array, row: Architecture): void {
  const form = kernelForm(head);
  if (form !== undefined && row.kernelForms.includes(form)) return;
  throw builderFailure(
    'CANNOT_PACK',
    `the kernel image is ${form ?? 'of an unknown form'}, and ${row.name} starts ${row.kernelForms.join(' or ')}`,
  );
}
