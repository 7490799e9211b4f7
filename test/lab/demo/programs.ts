import { open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import type { Progress } from '../../../cli/progress.ts';
import { Failure } from '../../../system/failure.ts';
import { ownedCommand } from '../../../machine/owned.ts';
import type { Run, Start } from '../../../system/run.ts';

/** Path of one of Ingot's programs in this checkout, which the demo runs as an operator would. */
function programPath(name: string): string {
  return fileURLToPath(new URL(`../../../bin/${name}.mjs`, import.meta.url));
}

export type Event = { event?: string; message?: string; hint?: string | null; phase?: string } & Record<
  string,
  unknown
>;

/** A line of JSON that one of our programs wrote; undefined when it is none. */
export function parseEvent(line: string): Event | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Event) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Runs one of Ingot's programs with `--json` and shows its progress as this step's.
 * @returns what it printed on standard output, parsed; undefined when that is no JSON
 * @throws Failure with the program's own message and hint
 */
export async function runProgramJson(
  name: 'ingot' | 'build-ramdisk',
  args: readonly string[],
  options: { run: Run; progress: Progress; signal: AbortSignal; env?: Readonly<Record<string, string>> },
): Promise<unknown> {
  let failure: Event | undefined;
  const onLine = (line: string) => {
    const event = parseEvent(line);
    if (event?.event === 'error') failure = event;
    const { event: kind, ...update } = event ?? {};
    if (kind === 'progress' && typeof update.phase === 'string')
      options.progress.update({ ...update, phase: update.phase });
    if (kind === 'log' && update.message !== undefined) options.progress.log(update.message);
  };
  try {
    // Its parent-death signal ends it with us even where no cleaning up is possible.
    const owned = ownedCommand(process.execPath, [programPath(name), ...args, '--json']);
    const { signal, env = {} } = options;
    const { stdout } = await options.run(owned.file, owned.args, { signal, onLine, env });
    return parseEvent(stdout.trim());
  } catch (error) {
    options.signal.throwIfAborted(); // why we ended it matters, not that it was ended
    if (failure?.message === undefined) throw error;
    throw new Failure('PROGRAM_FAILED', `${name} ${args.slice(0, 2).join(' ')} says: ${failure.message}`, {
      cause: error,
      hint: failure.hint ?? undefined,
    });
  }
}

export type ConductorProcess = {
  url: string;
  stop: () => Promise<void>;
  /** Ends it as a crash would: at once, without a word. */
  kill: () => Promise<void>;
};

/** Gigabytes overwritten twice under emulation are hours; who means to erase says so. */
function withoutFullErase(args: readonly string[]): readonly string[] {
  return args.includes('--clean-priority') ? args : ['--clean-priority', 'erase_devices=0', ...args];
}

/**
 * Starts `ingot conductor` and waits for the line that says that it listens.
 * @param log its standard error goes there
 */
export async function startConductor(
  args: readonly string[],
  options: { start: Start; log: string; signal: AbortSignal },
): Promise<ConductorProcess> {
  const log = await open(options.log, 'a');
  const owned = ownedCommand(process.execPath, [
    programPath('ingot'),
    'conductor',
    ...withoutFullErase(args),
    '--json',
  ]);
  const child = options.start(owned.file, owned.args, { stdio: ['ignore', 'pipe', log.fd] });
  await log.close();
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await gone;
    clearTimeout(timer);
  };
  const listening = new Promise<string>((resolve) => {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      for (const line of text.split('\n').slice(0, -1)) {
        const url = parseEvent(line)?.['url'];
        if (typeof url === 'string') resolve(url);
      }
    });
  });
  const aborted = new Promise<undefined>((resolve) =>
    options.signal.addEventListener('abort', () => resolve(undefined)),
  );
  const url = await Promise.race([listening, gone.then(() => undefined), aborted]);
  if (url === undefined) {
    await stop();
    options.signal.throwIfAborted();
    throw new Failure('CONDUCTOR_ENDED', 'cannot start the conductor: it ended at once', {
      hint: `its reason is in ${options.log}`,
    });
  }
  const kill = async () => {
    child.kill('SIGKILL');
    await gone;
  };
  return { url, stop, kill };
}
