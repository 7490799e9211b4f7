import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { CommandContext } from '../engine/command-table.ts';
import type { AgentOs } from '../os/door.ts';

/** A program that wears something in, and where its report goes. */
export type Load = {
  /** For progress and messages: `cpu`, `disks`. */
  what: string;
  program: string;
  args: readonly string[];
  /** Seconds that it takes, where that is known. */
  seconds: number | undefined;
  report: string;
};

const TICK_MS = 10_000;
const LAST_WORDS = 8;

/** Runs `tick` now and then while the work is not done. */
async function withTicks<T>(os: Pick<AgentOs, 'clock'>, tick: () => void, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const ticking = (async () => {
    for (;;) {
      tick();
      await os.clock.sleep(TICK_MS, over.signal);
      // A clock of tests does not let anything else happen by itself.
      await new Promise((resolve) => setImmediate(resolve));
    }
  })().catch(() => undefined);
  try {
    return await work;
  } finally {
    over.abort();
    await ticking;
  }
}

/** How it ended; everything that it said is in the agent's log, and its report in a file that is collected with the logs. */
export type LoadResult = { exitCode: number | null; lastWords: string };

/**
 * Runs such a program to its end, with progress by time.
 * @throws AgentError `CommandExecutionError` that names the program when the ramdisk does not have it, or the signal's reason
 */
export async function runLoad(os: AgentOs, load: Load, context: CommandContext): Promise<LoadResult> {
  const { what, program, args, seconds, report } = load;
  const begin = os.clock.monotonic();
  const lastWords: string[] = [];
  let message = '';
  const tick = (): void => {
    const done = Math.round((os.clock.monotonic() - begin) / 1000);
    const time = seconds === undefined || seconds === 0 ? { done } : { done: Math.min(done, seconds), total: seconds };
    context.progress({ phase: `burn in ${what}`, ...time, unit: 's', ...(message !== '' && { message }) });
  };
  const onLine = (line: string): void => {
    const words = line.trim();
    // fio's running estimate is for whoever looks on, not for the log.
    if (/^(?:Jobs: |fio: (?:verify|io_u error))/.test(words)) message = words.slice(0, 200);
    if (words.startsWith('Jobs: ')) return;
    lastWords.splice(0, Math.max(0, lastWords.push(words) - LAST_WORDS));
    context.log(`${program}: ${words}`);
  };
  context.log(`burn in ${what}: ${[program, ...args].join(' ')}; its report is ${report}`);
  await os.files.makeDirectory(report.slice(0, report.lastIndexOf('/')) || '/');
  const work = os.follow(program, args, { signal: context.signal, onLine }).catch((error: unknown) => {
    context.signal.throwIfAborted();
    const isMissing = reasonOf(error).includes('ENOENT');
    throw new AgentError(
      'CommandExecutionError',
      isMissing
        ? `cannot burn in ${what}: ${program} is not in this ramdisk; build it with the element burn-in`
        : reasonOf(error),
    );
  });
  const { exitCode } = await withTicks(os, tick, work);
  return { exitCode, lastWords: lastWords.join('; ') };
}

/** @throws AgentError `CommandExecutionError` with the program's last words unless it ended well */
export function checkLoad({ what, program, report }: Load, { exitCode, lastWords }: LoadResult): void {
  if (exitCode === 0) return;
  const how = exitCode === null ? 'was ended by a signal' : `ended with exit code ${exitCode}`;
  throw new AgentError(
    'CommandExecutionError',
    `burn-in of ${what} failed: ${program} ${how}: ${lastWords || 'it said nothing'}; its report is ${report}, which is collected with the logs`,
  );
}

/**
 * What went wrong by fio's report in JSON: it goes on after data that read back wrong, and ends with exit code 0 then.
 * @returns one text for each disk with errors
 */
export function fioErrors(report: string): string[] {
  // Before the JSON it may print notes.
  const text = report.slice(report.indexOf('{'));
  let parsed: { jobs?: { jobname?: string; error?: number; total_err?: number; first_error?: number }[] };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch (error) {
    return [`fio's report cannot be read: ${reasonOf(error)}`];
  }
  return (parsed.jobs ?? []).flatMap(({ jobname = '?', error = 0, total_err: total = 0, first_error: first = error }) =>
    error === 0 && total === 0
      ? []
      : [`${jobname} had ${Math.max(total, 1)} errors, the first of number ${first} (errno)`],
  );
}
