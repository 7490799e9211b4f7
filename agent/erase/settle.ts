import { reasonOf } from '../../system/failure.ts';
import type { Attempt } from '../../evidence/record.ts';
import { type ExaminedDisk, examineDisks } from '../disk/examine.ts';
import type { Storage } from '../hardware/disk-model.ts';
import { readStorage } from '../hardware/disks.ts';
import type { AgentOs } from '../os/door.ts';
import type { SettleContext } from './perform.ts';
import { settleAta } from './perform-ata.ts';
import { settleNvme } from './perform-nvme.ts';
import { settleScsi, untilScsiSanitized } from './perform-scsi.ts';
import { readAbilities } from './read-abilities.ts';
import { readSense } from './read-scsi.ts';
import { isSanitizing } from './scsi-words.ts';
import { createRecorder } from './recorder.ts';

export type Gaps = Attempt['gaps'];

type Options = {
  signal: AbortSignal;
  progress: (share: number, message: string) => void;
  log: (message: string) => void;
};

/** Whatever a device is at by itself, of an erase before this one: it is waited for. @returns that, for the evidence */
export async function settle(context: SettleContext): Promise<Gaps> {
  return [...(await settleNvme(context)), ...(await settleAta(context)), ...(await settleScsi(context))];
}

function waitingFor(os: AgentOs, kname: string, { signal, log, progress }: Options) {
  return {
    os,
    signal,
    log,
    progress: (share: number, what: string) => progress(share, `${kname} is at a ${what} from before`),
  };
}

async function settleUnreadable(os: AgentOs, disk: ExaminedDisk, options: Options): Promise<Gaps> {
  const abilities = await readAbilities(os, disk);
  return settle({ ...waitingFor(os, disk.kname, options), disk, abilities, recorder: createRecorder(os) });
}

/** To the kernel a SCSI disk that is at a sanitize has no size: it was not told any (drivers/scsi/sd.c), until it asks again. */
async function settleSizeless(os: AgentOs, kname: string, options: Options): Promise<Gaps> {
  const path = `/dev/${kname}`;
  const sense = await readSense(os, path);
  if (!isSanitizing(sense)) return [];
  const at = new Date(os.clock.now()).toISOString();
  options.log(`${path} is at a sanitize from before, and has no size until that ends; it is waited for`);
  await untilScsiSanitized({ ...waitingFor(os, kname, options), disk: { disk: { name: path, size: 0 } } });
  await os.files.write(`/sys/class/block/${kname}/device/rescan`, '1');
  return [
    { interrupted_after: null, resumed_at: at, position: null, how: `the device was at a sanitize: ${sense.text}` },
  ];
}

/**
 * Waits for devices that are at a sanitize of an earlier boot, before anybody looks at them: they give errors for every read, which
 * looks like a disk that nobody may touch, or have no size, which looks like no disk at all.
 * @returns what was waited for, by kernel name; when there is any, disks have to be looked at anew
 */
async function settleBusy(
  os: AgentOs,
  storage: Storage,
  disks: readonly ExaminedDisk[],
  options: Options,
): Promise<Map<string, Gaps>> {
  const sizeless = storage.blocks.filter(
    ({ kname, type, size }) => /^sd[a-z]+$/.test(kname) && type === 'disk' && !size,
  );
  const unreadable = disks.filter(
    ({ kind, kname, unreadable: places }) => kind === 'disk' && places.some((place) => place.kname === kname),
  );
  const found = new Map<string, Gaps>();
  const look = async (kname: string, work: Promise<Gaps>): Promise<void> => {
    try {
      const gaps = await work;
      if (gaps.length > 0) found.set(kname, gaps);
    } catch (error) {
      options.signal.throwIfAborted();
      // Most have no medium, or are worn; what they are at matters only to whoever then means to erase them.
      options.log(`/dev/${kname}: nobody can tell whether it is at a sanitize: ${reasonOf(error)}`);
    }
  };
  await Promise.all([
    ...unreadable.map((disk) => look(disk.kname, settleUnreadable(os, disk, options))),
    ...sizeless.map(({ kname }) => look(kname, settleSizeless(os, kname, options))),
  ]);
  return found;
}

/** All disks of the machine, as they are now. */
export async function examineAll(os: AgentOs): Promise<{ storage: Storage; disks: ExaminedDisk[] }> {
  const storage = await readStorage(os);
  return { storage, disks: await examineDisks(os, storage) };
}

/** All disks, when none of them is at a sanitize of an earlier boot any more. @returns with them what was waited for, by kernel name */
export async function examineSettled(
  os: AgentOs,
  options: Options,
): Promise<{ storage: Storage; disks: ExaminedDisk[]; waited: Map<string, Gaps> }> {
  const first = await examineAll(os);
  const waited = await settleBusy(os, first.storage, first.disks, options);
  return { ...(waited.size === 0 ? first : await examineAll(os)), waited };
}
