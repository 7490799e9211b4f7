import { readdir, readFile } from 'node:fs/promises';

import type { Start } from '../system/run.ts';

/** What one run of a command has cost. */
export type Cost = {
  wallSeconds: number;
  /** User and system, of all its processes. */
  processorSeconds: number;
  /** Resident memory of all its processes at one moment, the most that was seen. */
  residentBytes: number;
  /** `write_bytes` of /proc/PID/io as last seen; what a process wrote in its last moments is missing. */
  ioWriteBytes: number;
};

export type Measured = { cost: Cost | undefined; why: string | undefined };

const SAMPLE_MS = 25;
const PAGE_BYTES = 4096;
const MARK = 'ingot-bench-times';
/** What bash's `time` prints, for `parseTimes` to find. */
export const TIME_FORMAT = `${MARK} %R %U %S`;
const KILL_AFTER_MS = 5000;
const MOST_OUTPUT = 64 * 1024;

/** A process and all that it has started (proc_pid_task_children(5); every task may have children). */
async function familyOf(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const children = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')),
  );
  const below = children.flatMap((text) => text.split(' ').filter(Boolean).map(Number));
  return [pid, ...(await Promise.all(below.map(familyOf))).flat()];
}

async function residentOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '');
  return Number(text.split(' ')[1] ?? 0) * PAGE_BYTES;
}

async function writtenBy(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/io`, 'utf8').catch(() => '');
  return Number(/^write_bytes: (\d+)$/m.exec(text)?.[1] ?? 0);
}

/** Looks at a family of processes until told to stop. */
function watch(pid: number): { stop: () => Promise<{ residentBytes: number; ioWriteBytes: number }> } {
  const state = { isOver: false };
  let residentBytes = 0;
  const written = new Map<number, number>();
  const look = async () => {
    while (!state.isOver) {
      const family = await familyOf(pid);
      const resident = await Promise.all(family.map(residentOf));
      residentBytes = Math.max(
        residentBytes,
        resident.reduce((sum, bytes) => sum + bytes, 0),
      );
      for (const one of family) written.set(one, Math.max(written.get(one) ?? 0, await writtenBy(one)));
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    }
  };
  const looking = look();
  return {
    stop: async () => {
      state.isOver = true;
      await looking;
      return { residentBytes, ioWriteBytes: [...written.values()].reduce((sum, bytes) => sum + bytes, 0) };
    },
  };
}

/** The line that bash's `time` wrote last. */
export function parseTimes(output: string): Pick<Cost, 'wallSeconds' | 'processorSeconds'> | undefined {
  const found = [...output.matchAll(new RegExp(`^${MARK} ([\\d.]+) ([\\d.]+) ([\\d.]+)$`, 'gm'))].at(-1);
  if (!found) return undefined;
  const [, wall, user, system] = found.map(Number);
  return { wallSeconds: wall ?? 0, processorSeconds: (user ?? 0) + (system ?? 0) };
}

function kill(pid: number | undefined, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // nobody of the group is left
  }
}

/**
 * Runs a command of bash in a process group of its own, and says what it has cost. bash's `time` counts all processes that were waited for.
 * @param env what the command calls URL, FILE, TARGET and so on
 * @throws the signal's reason when it aborts; nothing of the command is left then
 */
export async function measure(
  start: Start,
  command: string,
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Measured> {
  signal.throwIfAborted();
  const script = `set -o pipefail; TIMEFORMAT='${TIME_FORMAT}'; time { ${command}; }`;
  const child = start('bash', ['-c', script], { env, detached: true });
  const stop = () => {
    kill(child.pid, 'SIGTERM');
    setTimeout(() => kill(child.pid, 'SIGKILL'), KILL_AFTER_MS).unref();
  };
  signal.addEventListener('abort', stop, { once: true });
  let output = '';
  const take = (piece: Buffer) => (output = (output + piece.toString('utf8')).slice(-MOST_OUTPUT));
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  const watched = watch(child.pid ?? -1);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const { residentBytes, ioWriteBytes } = await watched.stop();
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  const times = parseTimes(output);
  if (code !== 0 || times === undefined)
    return {
      cost: undefined,
      why:
        output
          .replaceAll(new RegExp(`^${MARK}.*$`, 'gm'), '')
          .trim()
          .slice(-500) || `exit code ${code}`,
    };
  return { cost: { ...times, residentBytes, ioWriteBytes }, why: undefined };
}
