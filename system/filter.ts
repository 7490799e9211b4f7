import type { Writable } from 'node:stream';

import { Failure, reasonOf } from './failure.ts';
import { showCommand, type Start, systemStart } from './run.ts';

/**
 * Sends bytes through a program: what comes from its standard output is yielded as it comes, with back-pressure on both sides.
 * A piece of the input may be used again when the next one is asked for.
 *
 * The program must take all of the input, say nothing on standard error and end with exit code 0, or it is a failure: half an answer
 * never looks like a whole one. (bzip2 says no more than "trailing garbage ignored" when it leaves out half of a file.)
 * Whoever stops reading early ends the program.
 * @throws Failure `COMMAND_FAILED`; whatever the input throws; the signal's reason
 */
export type Filter = (
  file: string,
  args: readonly string[],
  input: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
) => AsyncGenerator<Uint8Array>;

const MOST_ERROR_TEXT = 2000;

type Child = ReturnType<Start>;

type Feeding = {
  /** Whether the program got all of the input. Waits only when the input has ended. */
  isFed: () => Promise<boolean>;
  inputError: () => { error: unknown } | undefined;
};

/** A piece is asked for when the one before has left for the pipe, so that its buffer may be used again. */
async function writeAll(input: AsyncIterable<Uint8Array>, stdin: Writable): Promise<void> {
  // The callbacks tell it, too.
  stdin.on('error', () => undefined);
  const settled = (act: (done: (error?: Error | null) => void) => void) =>
    new Promise<void>((resolve, reject) => act((error) => (error ? reject(error) : resolve())));
  try {
    for await (const bytes of input) await settled((done) => stdin.write(bytes, done));
    await settled((done) => stdin.end(done));
  } finally {
    stdin.destroy();
  }
}

/** Writes the input to the program. Why that ended is kept, because a broken pipe says nothing by itself. */
function startFeeding(child: Child, input: AsyncIterable<Uint8Array>): Feeding {
  let hasInputEnded = false;
  let inputError: { error: unknown } | undefined;
  const watched = async function* () {
    try {
      yield* input;
      hasInputEnded = true;
    } catch (error) {
      inputError = { error };
      throw error;
    }
  };
  const { stdin } = child;
  if (!stdin) throw new TypeError('the program has no standard input');
  const written = writeAll(watched(), stdin).then(
    () => true,
    () => false,
  );
  return { isFed: async () => hasInputEnded && (await written), inputError: () => inputError };
}

/** Resolves with undefined when the program ended well, or how it ended. */
function endOf(child: Child): Promise<string | undefined> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(reasonOf(error)));
    child.once('close', (code, name) =>
      resolve(code === 0 ? undefined : name === null ? `ended with exit code ${code}` : `was ended by ${name}`),
    );
  });
}

export const systemFilter: Filter = async function* (file, args, input, signal) {
  signal.throwIfAborted();
  const child = systemStart(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = endOf(child);
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  let errorText = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    errorText = (errorText + bytes.toString()).slice(-MOST_ERROR_TEXT);
  });
  const feeding = startFeeding(child, input);
  try {
    if (child.stdout) for await (const bytes of child.stdout) yield bytes as Buffer;
    const why = await ended;
    signal.throwIfAborted();
    const broken = feeding.inputError();
    if (broken) throw broken.error;
    const said = errorText.trim();
    const isFed = await feeding.isFed();
    if (why === undefined && isFed && said === '') return;
    const how = why ?? (isFed ? 'ended well, but with words' : 'ended before it had read all of its input');
    throw new Failure(
      'COMMAND_FAILED',
      `cannot run ${showCommand(file, args)}: it ${how}${said === '' ? '' : `\n${said}`}`,
    );
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
    child.stdin?.destroy();
    child.stdout?.destroy();
  }
};
