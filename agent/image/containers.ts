/** What an image file is by its content, other than raw. */
export type Container = {
  /** As Glance and Ironic name it, where they do. */
  name: string;
  matches: (head: Buffer) => boolean;
  /** What to try instead; qcow2 is written as it is. */
  tryThis?: string;
};

const bytes =
  (position: number, ...words: string[]) =>
  (head: Buffer) =>
    words.some((word) => head.subarray(position, position + word.length).equals(Buffer.from(word, 'latin1')));

const convert = (format: string) => `convert it with "qemu-img convert -f ${format} -O qcow2 IMAGE NEW"`;
const unpack = (program: string) => `unpack it with "${program}", or pack it with gzip, zstd, xz or bzip2`;

/** The text that names the files with the data; before its first key may be comments and empty lines, as QEMU reads it (block/vmdk.c). */
function isVmdkDescriptor(head: Buffer): boolean {
  const text = head.toString('latin1', 0, 2048);
  return /^# Disk DescriptorFile/i.test(text) || /^(?:[ \t]*(?:#[^\n]*)?\n)*version=[123][ \r\n]/.test(text);
}

/**
 * By the first bytes: what QEMU goes by (block/*.c), for vmdk with ESX's older COWD and newer SESparse; ECMA-119 8.1 and ECMA-167 2/9.1 for
 * discs; PKWARE, 7-Zip, LZ4's and Android's own descriptions for packed files.
 */
export const CONTAINERS: readonly Container[] = [
  { name: 'qcow2', matches: bytes(0, 'QFI\u00FB') },
  {
    name: 'vmdk',
    matches: (head) => bytes(0, 'KDMV', 'COWD', '\u00BE\u00BA\u00FE\u00CA\0\0\0\0')(head) || isVmdkDescriptor(head),
    tryThis: `${convert('vmdk')}, beside the files that it may name`,
  },
  { name: 'vhdx', matches: bytes(0, 'vhdxfile'), tryThis: convert('vhdx') },
  { name: 'vhd', matches: bytes(0, 'conectix'), tryThis: convert('vpc') },
  { name: 'vdi', matches: bytes(64, '\u007F\u0010\u00DA\u00BE'), tryThis: convert('vdi') },
  { name: 'parallels', matches: bytes(0, 'WithoutFreeSpace', 'WithouFreSpacExt'), tryThis: convert('parallels') },
  { name: 'qed', matches: bytes(0, 'QED\0'), tryThis: convert('qed') },
  { name: 'bochs', matches: bytes(0, 'Bochs Virtual HD Image'), tryThis: convert('bochs') },
  {
    name: 'luks',
    matches: bytes(0, 'LUKS\u00BA\u00BE'),
    tryThis:
      'there is no key here: open it with "cryptsetup open IMAGE NAME", and make an image of /dev/mapper/NAME with "qemu-img convert -O qcow2"',
  },
  {
    name: 'iso',
    matches: bytes(0x80_01, 'CD001', 'BEA01'),
    tryThis: 'say that its format is raw if it is a hybrid that is to be written bit by bit, or use an image of a disk',
  },
  { name: 'tar', matches: bytes(257, 'ustar'), tryThis: 'unpack it with "tar xf": an OVA has a vmdk in it' },
  { name: 'zip', matches: bytes(0, 'PK\u0003\u0004'), tryThis: unpack('unzip') },
  { name: '7z', matches: bytes(0, '7z\u00BC\u00AF\u0027\u001C'), tryThis: unpack('7z x') },
  { name: 'lz4', matches: bytes(0, '\u0004\u0022\u004D\u0018'), tryThis: unpack('unlz4') },
  { name: 'simg', matches: bytes(0, '\u003A\u00FF\u0026\u00ED'), tryThis: 'make a raw image of it with "simg2img"' },
];

/** A VHD of fixed size is a raw image with this many bytes behind it that say so. */
export const VHD_FOOTER_BYTES = 512;
export const FIXED_VHD: Container = {
  name: 'vhd (fixed size)',
  matches: bytes(0, 'conectix'),
  tryThis: 'make a raw image of it with "qemu-img convert -f vpc -O raw IMAGE NEW"',
};

/** Sectors of a cylinder, by which those who make VHDs round their sizes up (VHD specification, "CHS Calculation"), and of a MiB. */
const VHD_UNITS = [2048, 255 * 16, 63 * 16, 31 * 16, 17];

/** Whether a file has a length that a VHD of fixed size can have: only then its end is worth a request. */
export function mayBeFixedVhd(sizeBytes: number): boolean {
  const sectors = (sizeBytes - VHD_FOOTER_BYTES) / 512;
  return sectors > 0 && VHD_UNITS.some((unit) => sectors % unit === 0);
}
