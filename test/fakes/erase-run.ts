import { openChain } from '../../agent/erase/chain.ts';
import { eraseDevices } from '../../agent/erase/erase-devices.ts';
import type { EraseStep } from '../../agent/erase/plan.ts';
import { judgeEvidence } from '../../evidence/judge.ts';
import type { EraseRecord } from '../../evidence/record.ts';
import { type Disk, type ErasableMachine, erasableMachine, type FakeDisk } from './erasable-machine.ts';

export type EraseOutcome = {
  /** Of the evidence. */
  faults: string[];
  records: EraseRecord[];
  /** All that was written down as evidence. */
  evidence: string;
  failure: string;
  /** What the step returned; undefined when it failed. */
  result: Awaited<ReturnType<typeof eraseDevices>> | undefined;
  disks: Disk[];
  calls: string[];
  log: string;
  progress: string[];
  /** Sectors of a disk that hold what they held before. */
  left: (disk: Disk) => Promise<number>;
  /** What is on the medium now. */
  content: (disk: Disk) => Promise<Buffer>;
};

type Options = {
  step?: EraseStep;
  args?: Record<string, unknown>;
  info?: Record<string, unknown>;
  driverInfo?: Record<string, unknown>;
};

/** Runs the whole step on a machine that is there already. */
export async function eraseMachine(machine: ErasableMachine, options: Options = {}): Promise<EraseOutcome> {
  const { step = 'erase_devices', args = {}, info = {}, driverInfo = {} } = options;
  const { os } = machine;
  const progress: string[] = [];
  let log = '';
  let failure = '';
  let result: EraseOutcome['result'];
  try {
    result = await eraseDevices(
      os,
      { uuid: 'n0de', driver_internal_info: info, driver_info: driverInfo },
      {
        step,
        args,
        guard: { guardSpecialFilesystems: true, guardContents: [], guardRemovable: false },
        chain: () => openChain(os.files),
        machine: { serial: null, vendor: null, product: null },
        signal: new AbortController().signal,
        progress: (_share, message) => progress.push(message),
        log: (message) => (log += `${message}\n`),
      },
    );
  } catch (error) {
    failure = (error as Error).message;
  }
  const evidence = (await os.files.read('/run/ingot/evidence/records.jsonl')) ?? '';
  const judgement = judgeEvidence(evidence);
  return {
    failure,
    result,
    log,
    progress,
    calls: machine.calls,
    records: judgement.records,
    evidence,
    faults: evidence === '' ? [] : judgement.faults,
    disks: machine.disks,
    content: machine.content,
    left: async (disk) => {
      const now = await machine.content(disk);
      let sectors = 0;
      for (let at = 0; at < now.length; at += 512)
        if (now.subarray(at, at + 512).equals(disk.before.subarray(at, at + 512))) sectors += 1;
      return sectors;
    },
  };
}

/** Runs the whole step on a machine with these disks. */
export async function eraseFakes(
  fakes: readonly FakeDisk[],
  options: Options & { without?: readonly string[] } = {},
): Promise<EraseOutcome & AsyncDisposable> {
  const machine = await erasableMachine(fakes, options.without ? { without: options.without } : {});
  return { ...(await eraseMachine(machine, options)), [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose]() };
}
