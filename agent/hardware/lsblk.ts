import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';

import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { AgentOs } from '../os/door.ts';

const text = Type.Union([Type.String(), Type.Null()]);
const count = Type.Union([Type.Integer(), Type.Null()]);

/** One line of `lsblk -bia --json -o…`. Sizes are bytes; `kname` is the kernel's name without /dev. */
const BlockSchema = Type.Object({
  kname: Type.String(),
  pkname: text,
  model: text,
  size: count,
  rota: Type.Union([Type.Boolean(), Type.Null()]),
  ro: Type.Boolean(),
  type: Type.String(),
  uuid: text,
  ptuuid: text,
  pttype: text,
  partuuid: text,
  parttype: text,
  partlabel: text,
  label: text,
  fstype: text,
  serial: text,
  wwn: text,
  'log-sec': count,
  'phy-sec': count,
  tran: text,
  hctl: text,
  mountpoint: text,
  // Recordings made before these were asked for do not have them; the kernel says the same in sysfs.
  'maj:min': Type.Optional(text),
  rm: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
});
export type Block = Static<typeof BlockSchema>;

const ListSchema = Type.Object({ blockdevices: Type.Array(BlockSchema) });
const COLUMNS = Object.keys(BlockSchema.properties).join(',').toUpperCase();

/**
 * Reads what lsblk printed.
 * @throws AgentError `BlockDeviceError` when a column is missing
 */
export function parseLsblk(output: string): Block[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(output.trim() || '{"blockdevices":[]}');
  } catch (error) {
    throw new AgentError('BlockDeviceError', `cannot read what lsblk says: ${reasonOf(error)}`, { cause: error });
  }
  if (Value.Check(ListSchema, parsed)) return parsed.blockdevices;
  const [problem] = Value.Errors(ListSchema, parsed);
  throw new AgentError(
    'BlockDeviceError',
    `cannot read what lsblk says: ${problem?.instancePath ?? ''} ${problem?.message ?? ''}`,
  );
}

/** What lsblk says now; what udev has not read yet has no serial and no file system type. */
export async function readBlocks(os: Pick<AgentOs, 'run'>): Promise<Block[]> {
  const { stdout } = await os.run('lsblk', ['-bia', '--json', `-o${COLUMNS}`]);
  return parseLsblk(stdout);
}

/**
 * All block devices: disks, partitions, and what stands on them, one entry each.
 * Without NAME among the columns lsblk prints a flat list; a device with several parents comes several times.
 */
export async function listBlocks(os: Pick<AgentOs, 'run'>): Promise<Block[]> {
  // udev may still be reading the disks.
  await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
  return readBlocks(os);
}

/** A disk, an array or a multipath device, and of some size: what an image may go to, if it is no part of another one. */
export function isDisk(block: Block): boolean {
  const isKind = block.type === 'disk' || block.type === 'mpath' || block.type.includes('raid');
  return isKind && (block.size ?? 0) > 0 && !/^(?:fd|ram|zram)\d/.test(block.kname);
}

/** Each device once; of one with several parents the first line. */
export function eachOnce(blocks: readonly Block[]): Block[] {
  const seen = new Set<string>();
  return blocks.filter(({ kname }) => !seen.has(kname) && seen.add(kname));
}

/** Follows lines from a device on; each device once, with the line by which it was reached. */
function walk(
  blocks: readonly Block[],
  kname: string,
  next: (line: Block, lines: readonly Block[]) => readonly Block[],
): Block[] {
  const found = new Map<string, Block>();
  const visit = (line: Block) => {
    if (found.has(line.kname)) return;
    found.set(line.kname, line);
    const lines = blocks.filter((other) => other.kname === line.kname);
    for (const other of next(line, lines)) visit(other);
  };
  const start = blocks.find((candidate) => candidate.kname === kname);
  if (start) visit(start);
  return [...found.values()];
}

/** A device and everything on it (partitions, volumes, arrays), the device first; each with the parent from which it was reached. */
export function withDescendants(blocks: readonly Block[], kname: string): Block[] {
  return walk(blocks, kname, (line) => blocks.filter(({ pkname }) => pkname === line.kname));
}

/** A device and everything that it stands on (its disk, members of its array, its paths), the device first. */
export function withAncestors(blocks: readonly Block[], kname: string): Block[] {
  return walk(blocks, kname, (_, lines) => {
    const parents = lines.flatMap(({ pkname }) => pkname ?? []);
    return blocks.filter((block) => parents.includes(block.kname));
  });
}
