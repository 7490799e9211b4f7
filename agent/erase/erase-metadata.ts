import { reasonOf } from '../../system/failure.ts';
import type { Envelope } from '../../evidence/record.ts';
import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { metadataTargets, wipeMetadata, withoutDoubles } from '../disk/erase-metadata.ts';
import type { ExaminedDisk } from '../disk/examine.ts';
import { guardOptions, leftAlone, refuseGuarded } from '../disk/guard.ts';
import { withDevice } from '../disk/partitions.ts';
import { type Block, isDisk } from '../hardware/lsblk.ts';
import { idleSkips, skippedDisks } from '../hardware/skip-list.ts';
import type { AgentOs } from '../os/door.ts';
import type { Abilities } from './abilities.ts';
import type { EraseOptions } from './erase-devices.ts';
import { eraseDisk } from './erase-disk.ts';
import type { Plan } from './plan.ts';
import { readBootId } from './read-boot-id.ts';
import { readSettings } from './settings.ts';
import { examineSettled } from './settle.ts';
import { withSteadyClock } from './steady-clock.ts';

export type MetadataOptions = Pick<EraseOptions, 'args' | 'guard' | 'chain' | 'machine' | 'signal' | 'log'> & {
  progress: (done: number, total: number, device: string) => void;
};

type Result = Envelope | { left: string };
/** What is wiped of a disk: itself, unless its own metadata has to stay, and partitions. */
type Work = { name: string; self: Block | undefined; parts: Block[] };

/** Nobody asked the disk: what it can do about its data is not what this step is about. */
const UNASKED: Abilities = {
  nvme: undefined,
  ata: undefined,
  scsi: undefined,
  opal: undefined,
  missing: [],
  hidden: { hpa: 'not asked', dco: 'not asked' },
  hasHiddenSectors: false,
};
const PLAN: Plan = {
  methods: [{ method: 'metadata', category: 'none', reason: 'the step is for metadata alone', minutes: 0 }],
  excluded: [],
  refusal: undefined,
};

/** By disk, each with its partitions: afterwards nobody knows where those were. */
function workOf(targets: readonly Block[]): Work[] {
  const all = new Map<string, Work>();
  for (const block of targets) {
    const name = isDisk(block) ? block.kname : (block.pkname ?? '');
    const work = all.get(name) ?? { name, self: undefined, parts: [] };
    all.set(name, isDisk(block) ? { ...work, self: block } : { ...work, parts: [...work.parts, block] });
  }
  return [...all.values()];
}

/** Members of an array stay, and so does the table that says where they are. */
async function wipeParts(os: AgentOs, { name, parts }: Work): Promise<Result> {
  const paths = parts.map(({ kname }) => `/dev/${kname}`);
  for (const path of paths) await withDevice(os, path, 'write', (device) => wipeMetadata(os, device));
  return { left: `/dev/${name} keeps its partition table; the metadata of ${paths.join(', ')} was erased` };
}

/**
 * Erases partition tables, file system, RAID and volume signatures of every disk and partition, except what is read-only, a
 * RAID member, or named by `skip_block_devices`. All disks are tried; failures are reported together.
 * @returns by path of the disk: signed evidence of what was done, which claims no category, or why the disk was left alone
 * @throws AgentError `BlockDeviceEraseError` that names every device that failed and why, with the same as its result
 */
export async function eraseDevicesMetadata(
  realOs: AgentOs,
  node: Node,
  options: MetadataOptions,
): Promise<Record<string, Result>> {
  const os = withSteadyClock(realOs);
  const { args, guard, chain, machine, signal, log, progress } = options;
  // None of the others matters here, so a wrong one is no reason to do nothing.
  const nonceOnly = { ingot_evidence_nonce: node.driver_internal_info?.['ingot_evidence_nonce'] };
  const { settings, nonce } = readSettings({ ...node, driver_internal_info: nonceOnly, driver_info: {} }, args);
  // A device that is at a sanitize takes no write, and this step comes before the one that would wait for it.
  const { storage, disks, waited } = await examineSettled(os, {
    signal,
    log,
    progress: (_share, what) => progress(0, 1, what),
  });
  const skipped = skippedDisks(node, storage.disks);
  for (const idle of idleSkips(node, storage.disks)) log(idle);
  const { targets, left } = metadataTargets(withoutDoubles(storage), skipped);
  const bootId = await readBootId(os);
  const results: Record<string, Result> = {};
  const failures: string[] = [];
  for (const { block, why } of left) {
    log(`metadata of /dev/${block.kname} is left alone: ${why}`);
    if (isDisk(block)) results[`/dev/${block.kname}`] = { left: why };
  }

  const wipe = async (work: Work): Promise<Result> => {
    const found = disks.find(({ kname }) => kname === work.name);
    if (found === undefined) throw new Error('it is no disk of this machine');
    // The whole disk decides: a partition beside a mounted or shared one is as dear as that one.
    const why = leftAlone(found, guardOptions(guard, skipped));
    if (why !== undefined) {
      log(`metadata of /dev/${work.name} is left alone: ${why.text}`);
      return { left: why.text };
    }
    refuseGuarded(found, guardOptions(guard, skipped));
    if (work.self === undefined) return wipeParts(os, work);
    const disk: ExaminedDisk = { ...found, family: [work.self, ...work.parts.toReversed()] };
    const record = await eraseDisk({
      os,
      disk,
      abilities: UNASKED,
      plan: PLAN,
      waitedFor: waited.get(work.name) ?? [],
      settings,
      psid: undefined,
      nonce,
      step: 'erase_devices_metadata',
      node: { uuid: node.uuid, ...machine },
      bootId,
      signal,
      progress: () => undefined,
      log,
    });
    if (record.result === 'failed')
      failures.push(`cannot erase the metadata of /dev/${work.name}: ${record.attempts.at(-1)?.why}`);
    return (await chain()).append(record);
  };

  const all = workOf(targets);
  for (const [index, work] of all.entries()) {
    const path = `/dev/${work.name}`;
    progress(index, all.length, path);
    try {
      results[path] = await wipe(work);
    } catch (error) {
      signal.throwIfAborted();
      const text =
        error instanceof AgentError ? error.details : `cannot erase the metadata of ${path}: ${reasonOf(error)}`;
      failures.push(text);
      results[path] = { left: text };
    }
  }
  progress(all.length, all.length, '');
  if (failures.length > 0)
    throw new AgentError('BlockDeviceEraseError', [...new Set(failures)].join('; '), { result: results });
  return results;
}
