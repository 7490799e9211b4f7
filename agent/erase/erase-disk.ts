import { createHmac, randomBytes } from 'node:crypto';

import { reasonOf } from '../../system/failure.ts';
import { claimOf, type MethodName } from '../../evidence/methods.ts';
import type { Attempt, Category, EraseRecord, Verification } from '../../evidence/record.ts';
import { AGENT_VERSION } from '../api/version.ts';
import type { ExaminedDisk } from '../disk/examine.ts';
import { readIdentity, whyAnother } from '../disk/identity.ts';
import type { AgentOs } from '../os/door.ts';
import type { Abilities } from './abilities.ts';
import { PERFORMERS, type PerformContext } from './perform.ts';
import type { EraseStep, Plan } from './plan.ts';
import { prepare, readBackAll } from './prove.ts';
import { createRecorder } from './recorder.ts';
import type { EraseSettings } from './settings.ts';
import { type Gaps, settle } from './settle.ts';
import { StuckDevice } from './wait.ts';

export type EraseJob = {
  os: AgentOs;
  disk: ExaminedDisk;
  abilities: Abilities;
  settings: EraseSettings;
  psid: string | undefined;
  nonce: string | null;
  step: EraseStep;
  plan: Plan;
  /** What the device was at before anybody could look at it. */
  waitedFor: Gaps;
  node: EraseRecord['node'];
  bootId: string | null;
  signal: AbortSignal;
  progress: (share: number, what: string) => void;
  log: (message: string) => void;
};

type Tried = { attempt: Attempt; verification: Verification | null; isStuck: boolean };

/**
 * With a nonce the seed follows from it, so that after a power cut the same pattern is written on; it is as little known to the disk's
 * last owner as chance would be.
 */
function seedFor({ nonce, disk, step }: EraseJob): string {
  if (nonce === null) return randomBytes(32).toString('hex');
  const { serial, wwn, name, size } = disk.disk;
  return createHmac('sha256', nonce)
    .update(`${step} ${serial ?? wwn ?? name} ${size}`)
    .digest('hex');
}

const time = (os: AgentOs): string => new Date(os.clock.now()).toISOString();

function unwritableFault(written: Attempt['written']): string | null {
  const [first] = written?.unwritable ?? [];
  if (first === undefined) return null;
  return `${written?.unwritable.length} places do not take writes, the first at byte ${first.position}: destroy the disk`;
}

/** The disk must still be the one that the plan was made for: a new one may have been plugged in where it was. */
async function checkIdentity({ os, disk }: EraseJob): Promise<void> {
  const why = whyAnother(disk.identity, await readIdentity(os.files, disk.kname));
  if (why !== undefined) throw new Error(`/dev/${disk.kname} is not what it was, it is another disk: ${why}`);
}

async function tryMethod(job: EraseJob, method: MethodName, seed: string): Promise<Tried> {
  const { os } = job;
  const recorder = createRecorder(os, job.psid === undefined ? [] : [job.psid]);
  const context: PerformContext = { ...job, seed, recorder, canaries: false };
  const started = time(os);
  // Canaries, and what a device does without saying how far it is, are work, too.
  job.progress(0, method);
  let gaps: Attempt['gaps'] = [];
  let written: Attempt['written'] = null;
  let verification: Verification | null = null;
  let why: string | null = null;
  let isStuck = false;
  try {
    await checkIdentity(job);
    gaps = await settle(context);
    const prepared = await prepare(context, method);
    if (prepared.why !== undefined) job.log(`${job.disk.disk.name}: no canaries: ${prepared.why}`);
    await checkIdentity(job);
    const performed = await PERFORMERS[method]({ ...context, canaries: prepared.canaries });
    gaps = [...gaps, ...performed.gaps];
    written = performed.written;
    const read = await readBackAll(context, method, prepared);
    verification = read.verification;
    // What is not there says nothing of what was.
    await checkIdentity(job);
    why = unwritableFault(written) ?? read.fault;
  } catch (error) {
    job.signal.throwIfAborted();
    why = reasonOf(error);
    isStuck = error instanceof StuckDevice;
  }
  return {
    isStuck,
    attempt: {
      method,
      category: claimOf(method)?.category ?? 'none',
      started_at: started,
      ended_at: time(os),
      outcome: why === null ? 'done' : 'failed',
      why: why === null ? null : why.slice(0, 2000).toWellFormed(),
      commands: recorder.commands,
      written,
      gaps,
    },
    verification,
  };
}

/** Sectors that the host does not see were not overwritten by it, and may not have been by the device. */
function claim({ abilities }: EraseJob, method: string): { category: Category; category_why: string } {
  const { category = 'none', why = '' } = claimOf(method) ?? {};
  if (!abilities.hasHiddenSectors || !/overwrite-|security-erase/.test(method) || method.startsWith('ata-sanitize'))
    return { category, category_why: why };
  return {
    category: 'none',
    category_why: `sectors are hidden from the host: HPA ${abilities.hidden.hpa}; DCO ${abilities.hidden.dco}`,
  };
}

/** Everything of a disk's abilities that evidence shows: the device's words, and what they were taken for. */
function abilitiesForEvidence({ abilities, disk }: EraseJob): EraseRecord['capabilities'] {
  const { nvme, ata, scsi, opal, missing } = abilities;
  return JSON.parse(
    JSON.stringify({
      nvme: nvme ?? null,
      nvme_namespace: disk.nvme ?? null,
      ata: ata ?? null,
      scsi: scsi ?? null,
      opal: opal ?? null,
      missing_tools: missing,
      limits: disk.limits,
    }),
  ) as EraseRecord['capabilities'];
}

function describeDisk({ disk: { disk, nvme } }: EraseJob, firmware: string | null): EraseRecord['disk'] {
  return {
    path: disk.name,
    model: disk.model,
    serial: disk.serial,
    wwn: disk.wwn,
    vendor: disk.vendor,
    firmware: nvme?.firmware ?? firmware,
    transport: disk.tran,
    by_path: disk.by_path,
    size_bytes: disk.size,
    logical_sector_bytes: disk.logical_sectors ?? 512,
    physical_sector_bytes: disk.physical_sectors,
    rotational: disk.rotational,
  };
}

/**
 * Carries out a disk's plan: one method after the other until one has been proved. Failures are in the record, never thrown.
 * @throws only the signal's reason
 */
export async function eraseDisk(job: EraseJob): Promise<Omit<EraseRecord, 'sequence' | 'previous'>> {
  const { os, plan, disk, nonce, step, settings, node, abilities } = job;
  const started = time(os);
  const seed = seedFor(job);
  const firmware = (await os.files.read(`/sys/class/block/${disk.kname}/device/rev`))?.trim() ?? null;
  const tried: Tried[] = [];
  for (const { method } of plan.methods) {
    const result = await tryMethod(job, method as MethodName, seed);
    if (tried.length === 0) result.attempt.gaps = [...job.waitedFor, ...result.attempt.gaps];
    tried.push(result);
    if (result.attempt.outcome === 'done') break;
    const isLast = result.isStuck || tried.length === plan.methods.length;
    job.log(
      `${disk.disk.name}: ${method} failed: ${result.attempt.why}${isLast ? '' : '; FALLING BACK to the next method of the plan'}`,
    );
    if (isLast) break;
  }
  const last = tried.at(-1);
  const isErased = last?.attempt.outcome === 'done';
  const failure = isErased
    ? null
    : (plan.refusal ?? tried.map(({ attempt }) => `${attempt.method}: ${attempt.why}`).join('; '));
  return {
    format: 'ingot.erase/1',
    step,
    nonce,
    node,
    agent: { version: AGENT_VERSION, boot_id: job.bootId },
    disk: describeDisk(job, firmware),
    capabilities: abilitiesForEvidence(job),
    hidden: abilities.hidden,
    // Those of overwriting would say something of data, which this step leaves where it is.
    settings: step === 'erase_devices_metadata' ? {} : { ...settings },
    plan: { methods: plan.methods, excluded: plan.excluded },
    started_at: started,
    ended_at: time(os),
    attempts: tried.map(({ attempt }) => attempt),
    verification: last?.verification ?? null,
    result: isErased ? 'erased' : 'failed',
    failure,
    ...(isErased ? claim(job, last.attempt.method) : { category: 'none', category_why: 'it was not erased' }),
  };
}
