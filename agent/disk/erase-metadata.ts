import { AgentError } from '../api/errors.ts';
import type { Storage } from '../hardware/disk-model.ts';
import { type Block, isDisk, withDescendants } from '../hardware/lsblk.ts';
import { partOf } from '../hardware/paths.ts';
import type { AgentOs, BlockDevice } from '../os/door.ts';
import { closeWaysIn } from './ways-in.ts';

/** Signatures of file systems, volumes and partition tables lie within this much of a device's ends. */
const END_BYTES = 1024 ** 2;
/** Label of the small disk on which a BMC hands parameters to the agent. */
const VIRTUAL_MEDIA_LABEL = 'ir-vfd-dev';

async function checkZero(device: BlockDevice, position: number, length: number): Promise<void> {
  const bytes = Buffer.alloc(length);
  await device.read(bytes, position);
  if (!bytes.equals(Buffer.alloc(length)))
    throw new AgentError(
      'BlockDeviceEraseError',
      `${device.path} still has data at byte ${position} after it was zeroed`,
    );
}

async function zeroEnds(device: BlockDevice): Promise<void> {
  const length = Math.min(END_BYTES, device.sizeBytes - (device.sizeBytes % device.sectorBytes));
  const last = device.sizeBytes - length;
  await device.zero(0, length);
  await device.zero(last, length);
  await device.flush();
  await checkZero(device, 0, length);
  await checkZero(device, last, length);
}

/**
 * Makes a disk or partition forget what was on it: first every way in for firmware, then known signatures wherever they are, then both
 * ends, which are read back.
 * @param device opened for writing, so that nobody else has it
 * @throws Failure or AgentError; then it may be partly wiped
 */
export async function wipeMetadata(os: Pick<AgentOs, 'run'>, device: BlockDevice): Promise<void> {
  await closeWaysIn(device);
  // --force lets wipefs in beside our own exclusive handle.
  await os.run('wipefs', ['--force', '--all', device.path]);
  await zeroEnds(device);
}

function isSkipped(block: Block, blocks: readonly Block[], skipped: ReadonlySet<string>): string | undefined {
  const family = withDescendants(blocks, block.kname);
  if (family.some(({ label }) => label?.toLowerCase() === VIRTUAL_MEDIA_LABEL)) return 'virtual media';
  if (block.ro) return 'read-only';
  if (family.some(({ fstype }) => fstype === 'linux_raid_member')) return 'member of a software RAID';
  const parents = blocks.filter((other) =>
    withDescendants(blocks, other.kname).some(({ kname }) => kname === block.kname),
  );
  return [block, ...parents].some(({ kname }) => skipped.has(`/dev/${kname}`))
    ? 'named by skip_block_devices'
    : undefined;
}

function isOwnDisk(block: Block, blocks: readonly Block[]): boolean {
  return isDisk(block) && partOf(block, blocks) === undefined;
}

/** All but what is there twice: the further paths to a disk. */
export function withoutDoubles({ blocks, others }: Storage): Block[] {
  const doubles = others
    .filter(({ kind }) => kind === 'double')
    .flatMap(({ name }) => withDescendants(blocks, name.slice('/dev/'.length)));
  const names = new Set(doubles.map(({ kname }) => kname));
  return blocks.filter(({ kname }) => !names.has(kname));
}

/**
 * What `erase_devices_metadata` works on, in this order: partitions before the disks that they are on.
 * @returns devices, and why each of the others is left alone
 */
export function metadataTargets(
  blocks: readonly Block[],
  skipped: ReadonlySet<string>,
): { targets: Block[]; left: { block: Block; why: string }[] } {
  const candidates = [...new Map(blocks.map((block) => [block.kname, block])).values()]
    .filter(
      (block) =>
        isOwnDisk(block, blocks) ||
        (block.type === 'part' && blocks.some((disk) => disk.kname === block.pkname && isOwnDisk(disk, blocks))),
    )
    .toSorted((a, b) => Number(isDisk(a)) - Number(isDisk(b)) || (a.kname < b.kname ? 1 : -1));
  const targets: Block[] = [];
  const left: { block: Block; why: string }[] = [];
  for (const block of candidates) {
    const why = isSkipped(block, blocks, skipped);
    if (why) left.push({ block, why });
    else targets.push(block);
  }
  return { targets, left };
}
