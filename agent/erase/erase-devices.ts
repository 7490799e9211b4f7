import { reasonOf } from '../../system/failure.ts';
import type { Envelope, EraseRecord } from '../../evidence/record.ts';
import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { type ExaminedDisk, examineDevice } from '../disk/examine.ts';
import { whyAnother } from '../disk/identity.ts';
import { guardDisk, guardOptions, type GuardOptions, type GuardReason, type GuardSettings } from '../disk/guard.ts';
import { idleSkips, skippedDisks } from '../hardware/skip-list.ts';
import type { AgentOs } from '../os/door.ts';
import type { Abilities } from './abilities.ts';
import type { EvidenceChain } from './chain.ts';
import { eraseDisk } from './erase-disk.ts';
import { inParallel } from './in-parallel.ts';
import { type EraseStep, type Plan, planDisk } from './plan.ts';
import { createProgress } from './progress.ts';
import { readAbilities } from './read-abilities.ts';
import { readBootId } from './read-boot-id.ts';
import { type EraseRequest, readSettings } from './settings.ts';
import { examineAll, examineSettled, type Gaps } from './settle.ts';
import { withSteadyClock } from './steady-clock.ts';
import { unlockInterrupted } from './unlock.ts';

export type EraseOptions = {
  step: EraseStep;
  args: Readonly<Record<string, unknown>>;
  guard: GuardSettings;
  /** Opened when there is something to prove: a dry run leaves nothing behind. */
  chain: () => Promise<EvidenceChain>;
  machine: Omit<EraseRecord['node'], 'uuid'>;
  signal: AbortSignal;
  progress: (share: number, message: string) => void;
  log: (message: string) => void;
};

/** What the step says of each disk: its evidence, its plan alone, or why it was left as it is. */
type DiskResult = Envelope | { plan: Plan } | { left: string };

type Target = { disk: ExaminedDisk; abilities: Abilities; plan: Plan; psid: string | undefined; waitedFor: Gaps };

function raidMember({ family }: ExaminedDisk): { kname: string; isStarted: boolean } | undefined {
  const member = family.find(({ fstype }) => fstype === 'linux_raid_member');
  if (member === undefined) return undefined;
  return { kname: member.kname, isStarted: family.some(({ type }) => type.includes('raid')) };
}

/** Nobody would erase what is on it: it is no disk of its own, and the array is none as long as it is not started. */
function sleepingMember(disk: ExaminedDisk): string | undefined {
  const member = raidMember(disk);
  if (member === undefined || member.isStarted) return undefined;
  return `/dev/${member.kname} is a member of a software RAID that is not started (run delete_configuration first, or start the array)`;
}

/** IPA's rules where they are not the guard's: members of an array are left, for the array is a disk of its own. */
function whyLeft(disk: ExaminedDisk, reasons: readonly GuardReason[], request: EraseRequest): string | undefined {
  const left = reasons.find(({ verdict }) => verdict === 'leave');
  if (left) return left.text;
  const member = raidMember(disk);
  if (member?.isStarted) return `/dev/${member.kname} is a member of a software RAID, which is erased as a whole`;
  const readOnly = reasons.find(({ code }) => code === 'read-only');
  return readOnly && request.settings.agent_erase_skip_read_only ? readOnly.text : undefined;
}

function refusalOf(reasons: readonly GuardReason[]): string | undefined {
  if (reasons.length === 0) return undefined;
  return reasons.map(({ text, remedy }) => `${text} (${remedy})`).join('; ');
}

const pathOf = (disk: ExaminedDisk): string => disk.disk.name;

/** A dry run waits for nothing, and unlocks nothing: what a device is at is then all that it says. */
async function examineReady(os: AgentOs, node: Node, request: EraseRequest, options: EraseOptions) {
  if (request.dryRun) return { ...(await examineAll(os)), waited: new Map<string, Gaps>() };
  const first = await examineSettled(os, options);
  const { waited } = first;
  const skipped = skippedDisks(node, first.storage.disks);
  const locked = first.disks.filter(
    ({ disk }) => request.settings.agent_enable_ata_secure_erase && !skipped.has(disk.name),
  );
  const unlocked = await unlockInterrupted(os, locked, options.log);
  for (const [kname, gap] of unlocked) waited.set(kname, [...(waited.get(kname) ?? []), gap]);
  return { ...([...unlocked].length === 0 ? first : await examineAll(os)), waited };
}

/** What a locked disk holds nobody can see; whoever gives its PSID wants it erased nevertheless. */
function guardFor(disk: ExaminedDisk, { opal }: Abilities, guard: GuardOptions): GuardReason[] {
  const isOpened = opal?.isLocked === true;
  return guardDisk(disk, guard).filter(({ code }) => !(isOpened && code === 'unreadable'));
}

async function look(os: AgentOs, node: Node, request: EraseRequest, options: EraseOptions) {
  const { storage, disks, waited } = await examineReady(os, node, request, options);
  const guard = guardOptions(options.guard, skippedDisks(node, storage.disks));
  for (const idle of idleSkips(node, storage.disks)) options.log(idle);
  const targets: Target[] = [];
  const results: Record<string, DiskResult> = {};
  const refused: string[] = [];
  const serials = disks.flatMap((disk) => disk.serials);
  for (const serial of Object.keys(request.psids))
    if (!serials.includes(serial))
      options.log(`a PSID is given for ${serial}, and no disk here has that serial number`);
  for (const disk of disks) {
    const psid = disk.serials.map((serial) => request.psids[serial]).find((one) => one !== undefined);
    const abilities = await readAbilities(os, disk, psid);
    const reasons = guardFor(disk, abilities, guard);
    const left = whyLeft(disk, reasons, request);
    if (left !== undefined) {
      options.log(`${pathOf(disk)} is left alone: ${left}`);
      results[pathOf(disk)] = { left };
      continue;
    }
    const plan = planDisk({ disk, abilities, settings: request.settings, psid }, options.step);
    const guarded = refusalOf(reasons) ?? sleepingMember(disk);
    const why = guarded ?? plan.refusal;
    if (guarded !== undefined) results[pathOf(disk)] = { left: guarded };
    else targets.push({ disk, abilities, plan, psid, waitedFor: waited.get(disk.kname) ?? [] });
    if (why !== undefined) refused.push(`cannot erase ${pathOf(disk)}: ${why}`);
  }
  return { targets, results, refused, guard };
}

/** Whatever was mounted, plugged in or begun since the plan was made. */
async function guardAgain(os: AgentOs, { disk, abilities }: Target, guard: GuardOptions): Promise<void> {
  const now = await examineDevice(os, pathOf(disk));
  if (now === undefined) throw new Error('it is gone');
  const facts = ({ disk: { serial, wwn, size, model } }: ExaminedDisk) => JSON.stringify([serial, wwn, size, model]);
  if (facts(now) !== facts(disk)) throw new Error(`it is another disk now: ${facts(now)}, and was ${facts(disk)}`);
  const other = whyAnother(disk.identity, now.identity);
  if (other !== undefined) throw new Error(`it is another disk now: ${other}`);
  const why = refusalOf(guardFor(now, abilities, guard));
  if (why !== undefined) throw new Error(why);
}

/**
 * Erases all disks that nothing speaks for keeping, side by side, and proves it. All are tried; those that failed are named together.
 * @returns by path: the signed evidence, or why the disk was left alone; with `dry_run` the plans alone
 * @throws AgentError `BlockDeviceEraseError`, which has the same as its result: evidence of failures and successes
 */
export async function eraseDevices(
  realOs: AgentOs,
  node: Node,
  options: EraseOptions,
): Promise<Record<string, DiskResult>> {
  const os = withSteadyClock(realOs);
  const request = readSettings(node, options.args);
  const { targets, results, refused, guard } = await look(os, node, request, options);
  for (const { disk, plan } of targets)
    options.log(
      `${pathOf(disk)}: ${plan.methods.map(({ method, minutes, reason }) => `${method} (${minutes ?? '?'} min: ${reason})`).join(', then ') || plan.refusal}; left out: ${plan.excluded.map(({ method, why }) => `${method}: ${why}`).join('; ')}`,
    );
  if (request.dryRun)
    return { ...results, ...Object.fromEntries(targets.map(({ disk, plan }) => [pathOf(disk), { plan }])) };
  const bootId = await readBootId(os);
  const failures = [...refused];
  const chain = await options.chain();
  const able = targets.filter(({ plan }) => plan.refusal === undefined);
  const progress = createProgress(
    able.map(({ disk }) => disk.kname),
    os.clock,
    options.progress,
  );
  await inParallel(able, request.settings.disk_erasure_concurrency, async (target) => {
    const { disk, abilities, plan } = target;
    try {
      await guardAgain(os, target, guard);
      options.signal.throwIfAborted();
      const record = await eraseDisk({
        os,
        disk,
        abilities,
        plan,
        settings: request.settings,
        psid: target.psid,
        waitedFor: target.waitedFor,
        nonce: request.nonce,
        step: options.step,
        node: { uuid: node.uuid, ...options.machine },
        bootId,
        signal: options.signal,
        progress: (share, what) => progress.set(disk.kname, share, what),
        log: options.log,
      });
      results[pathOf(disk)] = await chain.append(record);
      if (record.result === 'failed') failures.push(`cannot erase ${pathOf(disk)}: ${record.failure}`);
    } catch (error) {
      options.signal.throwIfAborted();
      failures.push(`cannot erase ${pathOf(disk)}: ${reasonOf(error)}`);
    }
    progress.set(disk.kname, 1, 'done');
  });
  if (failures.length > 0) throw new AgentError('BlockDeviceEraseError', failures.join('; '), { result: results });
  return results;
}
