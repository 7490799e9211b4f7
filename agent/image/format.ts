import { AgentError } from '../api/errors.ts';
import { findCompression } from './compression.ts';
import { QCOW2_MAGIC } from './qcow2-header.ts';

/** What an image file is by its first bytes. */
type Detected = { name: string; matches: (head: Buffer) => boolean };

const text = (position: number, word: string) => (head: Buffer) =>
  head.subarray(position, position + word.length).equals(Buffer.from(word, 'latin1'));

/** Formats that are recognised and not raw. Order matters only for messages. */
const CONTAINERS: readonly Detected[] = [
  { name: 'qcow2', matches: (head) => head.length >= 4 && head.readUInt32BE(0) === QCOW2_MAGIC },
  { name: 'vmdk', matches: (head) => text(0, 'KDMV')(head) || text(0, '# Disk DescriptorFile')(head) },
  { name: 'vhdx', matches: text(0, 'vhdxfile') },
  { name: 'vhd', matches: text(0, 'conectix') },
  { name: 'vdi', matches: text(64, '\u007F\u0010\u00DA\u00BE') },
  { name: 'qed', matches: text(0, 'QED\0') },
  { name: 'luks', matches: text(0, 'LUKS\u00BA\u00BE') },
  { name: 'iso', matches: text(0x80_01, 'CD001') },
];

const RAW_NAMES = new Set(['raw', 'gpt']);

function refuse(why: string): AgentError {
  return new AgentError('InvalidImage', `cannot write the image: ${why}`);
}

/**
 * Decides how an image is written, from what was asked for and what its first bytes say (agent-protocol I.4).
 * @param head of the contents, unpacked where the file is compressed; what is compressed twice is refused
 * @param diskFormat of image_info; absent, empty and `unknown` mean that the file decides
 * @throws AgentError `InvalidImage` when the two do not agree, or for a format that is not written
 */
export function decideFormat(head: Uint8Array, diskFormat: string | null | undefined): 'raw' | 'qcow2' {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const inner = findCompression(bytes);
  if (inner) throw refuse(`it is compressed twice (${inner} in another compression)`);
  const detected = CONTAINERS.find(({ matches }) => matches(bytes))?.name ?? 'raw';
  const asked = diskFormat && diskFormat !== 'unknown' ? diskFormat : detected;
  if (asked === 'qcow2' && detected === 'qcow2') return 'qcow2';
  // An ISO hybrid begins with a partition table and may be written bit by bit, but only when that was asked for.
  if (RAW_NAMES.has(asked) && (detected === 'raw' || detected === 'iso')) return 'raw';
  if (asked !== detected && !(RAW_NAMES.has(asked) && detected === 'raw'))
    throw refuse(
      `disk_format is ${asked}, but the file is ${detected === 'raw' ? 'none (raw or something unknown)' : detected}`,
    );
  throw refuse(`format ${detected} is not supported; convert it with "qemu-img convert -O qcow2", or unpack it`);
}

/**
 * @param permitted names as `permitted_image_formats` has them; raw and gpt are the same to the disk
 * @throws AgentError `InvalidImage`
 */
export function checkPermitted(format: 'raw' | 'qcow2', permitted: readonly string[]): void {
  const names = format === 'raw' ? [...RAW_NAMES] : [format];
  if (names.some((name) => permitted.includes(name))) return;
  throw refuse(`format ${format} is not among permitted_image_formats (${permitted.join(', ') || 'none'})`);
}
