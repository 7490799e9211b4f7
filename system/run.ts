import { type ChildProcess, spawn } from 'node:child_process';
import { execa } from 'execa';

import { Failure } from './failure.ts';

/** How a program is run. No shell is ever involved: `args` reach the program as they are. */
export type RunOptions = {
  /** Ends the program (SIGTERM, after five seconds SIGKILL). */
  signal?: AbortSignal;
  /** Text or bytes for its standard input; without it, standard input is empty. */
  input?: string | Uint8Array;
  /** Milliseconds after which it is ended; none by default. */
  timeoutMs?: number;
  /** Exit codes that are no failure; [0] by default. */
  okExitCodes?: readonly number[];
  cwd?: string;
  /** Added to PATH, HOME, TERM and LC_ALL=C, which is all that a program gets from the caller. */
  env?: Readonly<Record<string, string>>;
  /** Called for each line of standard output or error as it comes. */
  onLine?: (line: string) => void;
};

export type RunResult = { stdout: string; stderr: string; exitCode: number };

/**
 * The one way to run another program.
 * @throws Failure `COMMAND_FAILED` with the whole command, its exit code and the end of its standard error.
 */
export type Run = (file: string, args: readonly string[], options?: RunOptions) => Promise<RunResult>;

/** As `Run`, but standard output is bytes (at most 1 GiB). */
export type RunBytes = (file: string, args: readonly string[], options?: RunOptions) => Promise<Uint8Array>;

/** A program that stays, and whose life its caller manages. Standard input is empty unless `stdio` says otherwise. */
export type Start = (
  file: string,
  args: readonly string[],
  options?: {
    cwd?: string;
    env?: Readonly<Record<string, string>>;
    stdio?: 'pipe' | 'inherit' | 'ignore' | readonly ('pipe' | 'inherit' | 'ignore' | number)[];
    detached?: boolean;
  },
) => ChildProcess;

const KEPT_ENVIRONMENT = ['PATH', 'HOME', 'TERM', 'TMPDIR', 'XDG_CACHE_HOME', 'SOURCE_DATE_EPOCH'];

function environment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = KEPT_ENVIRONMENT.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  const base = Object.fromEntries(kept) as Record<string, string>;
  // A minimal init may hand over a PATH without the sbin folders, where most of what we call lives.
  base['PATH'] = `${base['PATH'] ?? '/usr/bin:/bin'}:/usr/local/sbin:/usr/sbin:/sbin`;
  return { ...base, LC_ALL: 'C', ...extra };
}

/** The command as one could paste it into a shell. */
export function showCommand(file: string, args: readonly string[]): string {
  return [file, ...args]
    .map((word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`))
    .join(' ');
}

function lastLines(text: string, count = 8): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

async function execute(file: string, args: readonly string[], options: RunOptions, encoding: 'utf8' | 'buffer') {
  const child = execa(file, args, {
    env: environment(options.env),
    extendEnv: false,
    reject: false,
    encoding,
    stripFinalNewline: false,
    forceKillAfterDelay: 5000,
    maxBuffer: 1024 ** 3,
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    ...(options.signal && { cancelSignal: options.signal }),
    ...(options.timeoutMs !== undefined && { timeout: options.timeoutMs }),
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.onLine && encoding === 'utf8' && { all: true as const }),
  });
  if (options.onLine && encoding === 'utf8') {
    const onLine = options.onLine;
    void (async () => {
      for await (const line of child.iterable({ from: 'all' })) onLine(String(line));
    })().catch(() => undefined); // the awaited result below reports what went wrong
  }
  const result = await child;
  const ok = options.okExitCodes ?? [0];
  if (result.exitCode !== undefined && !result.isTerminated && ok.includes(result.exitCode)) return result;
  options.signal?.throwIfAborted();
  const how = result.timedOut
    ? `did not end within ${options.timeoutMs} ms`
    : result.signal !== undefined
      ? `was ended by ${result.signal}`
      : result.exitCode !== undefined
        ? `ended with exit code ${result.exitCode}`
        : result.originalMessage || 'could not be started';
  const output =
    lastLines(String(result.stderr ?? '')) || (encoding === 'utf8' ? lastLines(String(result.stdout ?? '')) : '');
  throw new Failure(
    'COMMAND_FAILED',
    `cannot run ${showCommand(file, args)}: it ${how}${output ? `\n${output}` : ''}`,
    { cause: result },
  );
}

export const systemRun: Run = async (file, args, options = {}) => {
  const result = await execute(file, args, options, 'utf8');
  return { stdout: String(result.stdout ?? ''), stderr: String(result.stderr ?? ''), exitCode: result.exitCode ?? 0 };
};

export const systemRunBytes: RunBytes = async (file, args, options = {}) => {
  const result = await execute(file, args, options, 'buffer');
  return result.stdout as unknown as Uint8Array;
};

export const systemStart: Start = (file, args, options = {}) =>
  spawn(file, [...args], {
    env: environment(options.env),
    stdio: (options.stdio ?? ['ignore', 'pipe', 'pipe']) as 'pipe',
    detached: options.detached ?? false,
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
