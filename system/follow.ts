import { Failure, reasonOf } from './failure.ts';
import { showCommand, type Start, systemStart } from './run.ts';

export type FollowOptions = {
  /** Ends the program and all that it has started (SIGTERM, after five seconds SIGKILL). */
  signal: AbortSignal;
  /** Milliseconds after which it is ended in the same way; none by default. */
  timeoutMs?: number;
  /** Text for its standard input; without it, standard input is empty. */
  input?: string;
  env?: Readonly<Record<string, string>>;
  /** Called for each line as it comes. */
  onLine: (line: string, from: 'stdout' | 'stderr') => void;
};

/** `exitCode` is null where a signal ended it. */
export type Ended = { exitCode: number | null; killedBy: string | null; isTimedOut: boolean };

/**
 * Runs a program in a process group of its own and hands over its output line by line. Nothing is kept, so that a talkative
 * program costs no memory; nothing that it has started outlives it.
 * @throws Failure `COMMAND_FAILED` when it cannot be started, or the signal's reason
 */
export type Follow = (file: string, args: readonly string[], options: FollowOptions) => Promise<Ended>;

const LONGEST_LINE = 64 * 1024;
/** By it whoever starts the agent again finds what it has left running (elements/agent: `/etc/ingot/leftovers`). */
const MARK = { INGOT_AGENT_CHILD: '1' };
const KILL_AFTER_MS = 5000;
/** What a program has left running may hold its output open; its last words come within this time. */
const LAST_WORDS_MS = 500;

/** Cuts text into lines; progress bars that only return to the line's beginning are lines, too. */
function lineCutter(onLine: (line: string) => void): { take: (piece: Buffer) => void; end: () => void } {
  const decoder = new TextDecoder();
  let rest = '';
  const emit = (line: string): void => {
    if (line !== '') onLine(line);
  };
  return {
    take: (piece) => {
      const lines = (rest + decoder.decode(piece, { stream: true })).split(/[\r\n]+/);
      rest = lines.pop() ?? '';
      for (const line of lines) emit(line);
      if (rest.length > LONGEST_LINE) {
        emit(rest);
        rest = '';
      }
    },
    end: () => {
      emit(rest);
      rest = '';
    },
  };
}

function killGroup(child: ReturnType<Start>, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // nobody of the group is left
  }
}

export const systemFollow: Follow = async (file, args, options) => {
  const { signal, timeoutMs } = options;
  signal.throwIfAborted();
  const child = systemStart(file, args, {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...options.env, ...MARK },
  });
  const cutters = (['stdout', 'stderr'] as const).map((from) => {
    const cutter = lineCutter((line) => options.onLine(line, from));
    child[from]?.on('data', cutter.take);
    return cutter;
  });
  // It need not read what it is told.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input ?? '');
  const timers: ReturnType<typeof setTimeout>[] = [];
  let isTimedOut = false;
  const stop = (): void => {
    killGroup(child, 'SIGTERM');
    timers.push(setTimeout(() => killGroup(child, 'SIGKILL'), KILL_AFTER_MS));
  };
  signal.addEventListener('abort', stop, { once: true });
  if (timeoutMs !== undefined) {
    const expire = (): void => {
      isTimedOut = true;
      stop();
    };
    timers.push(setTimeout(expire, timeoutMs));
  }
  try {
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const [exitCode, killedBy] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.once('error', (error) =>
        reject(new Failure('COMMAND_FAILED', `cannot run ${showCommand(file, args)}: ${reasonOf(error)}`)),
      );
      child.once('exit', (code, name) => resolve([code, name]));
    });
    const patience = new Promise((resolve) => timers.push(setTimeout(resolve, LAST_WORDS_MS)));
    await Promise.race([closed, patience]);
    killGroup(child, 'SIGKILL');
    for (const cutter of cutters) cutter.end();
    signal.throwIfAborted();
    return { exitCode, killedBy, isTimedOut };
  } finally {
    for (const timer of timers) clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
};
