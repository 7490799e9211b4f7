import { AgentError } from '../api/errors.ts';
import { findCompression } from './compression.ts';
import { type Container, CONTAINERS, FIXED_VHD } from './containers.ts';

const RAW_NAMES = new Set(['raw', 'gpt']);

function refuse(why: string): AgentError {
  return new AgentError('InvalidImage', `cannot write the image: ${why}`);
}

function say({ name, tryThis }: Container): string {
  return tryThis === undefined ? name : `${name}; ${tryThis}`;
}

/**
 * Decides how an image is written, from what was asked for and what its bytes say (agent-protocol I.4).
 * @param head of the contents, unpacked where the file is compressed; what is compressed twice is refused
 * @param diskFormat of image_info; absent, empty and `unknown` mean that the file decides
 * @throws AgentError `InvalidImage` when the two do not agree, or for a format that is not written
 */
export function decideFormat(head: Uint8Array, diskFormat: string | null | undefined): 'raw' | 'qcow2' {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const inner = findCompression(bytes);
  if (inner) throw refuse(`it is compressed twice (${inner} in another compression)`);
  const container = CONTAINERS.find(({ matches }) => matches(bytes));
  const detected = container?.name ?? 'raw';
  const asked = diskFormat && diskFormat !== 'unknown' ? diskFormat : detected;
  if (asked === 'qcow2' && detected === 'qcow2') return 'qcow2';
  // An ISO hybrid begins with a partition table and may be written bit by bit, but only when that was asked for.
  if (RAW_NAMES.has(asked) && (detected === 'raw' || detected === 'iso')) return 'raw';
  if (!container) throw refuse(`disk_format is ${asked}, but the file is none (raw or something unknown)`);
  if (asked !== detected) throw refuse(`disk_format is ${asked}, but the file is ${say(container)}`);
  throw refuse(`format ${container.name} is not supported; ${container.tryThis}`);
}

/**
 * Refuses what only the end of a raw file shows.
 * @param tail the last 512 bytes
 * @throws AgentError `InvalidImage`
 */
export function checkTail(tail: Buffer): void {
  if (FIXED_VHD.matches(tail)) throw refuse(`format ${FIXED_VHD.name} is not supported; ${FIXED_VHD.tryThis}`);
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
