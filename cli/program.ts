import { Failure } from '../system/failure.ts';
import { redact } from '../system/redact.ts';

/** What a command's function gets besides its own options. */
export type Program = {
  argv: readonly string[];
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  /** Aborted by the first Ctrl-C or SIGTERM; every piece of work listens to it and cleans up. */
  signal: AbortSignal;
};

/** Writes a failure the way all programs do: the message, what to try, and with `json` one object. */
export function showFailure(error: unknown, output: { write: (text: string) => unknown }, json = false): number {
  if (error instanceof Failure) {
    if (json)
      output.write(
        `${JSON.stringify({ event: 'error', code: error.code, message: redact(error.message), hint: error.hint ?? null })}\n`,
      );
    else output.write(redact(`${error.message}\n${error.hint ? `  try: ${error.hint}\n` : ''}`));
    return error.exitCode;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  output.write(
    json
      ? `${JSON.stringify({ event: 'error', code: 'INTERNAL', message: text, hint: null })}\n`
      : `internal error: ${text}\n`,
  );
  return 70; // EX_SOFTWARE of sysexits.h
}

/** Signals closer together than this are one. */
const SAME_SIGNAL_MS = 500;

/**
 * Runs a program's main function: turns signals into an AbortSignal, failures into text and an exit code.
 * A second Ctrl-C ends the process at once.
 */
export async function runProgram(main: (program: Program) => Promise<number>): Promise<void> {
  const controller = new AbortController();
  let received: number | undefined;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // One Ctrl-C may come twice: from the terminal, and from bin/launch.mjs, which passes on what it gets.
      if (received !== undefined && performance.now() - received > SAME_SIGNAL_MS) process.exit(130);
      received ??= performance.now();
      controller.abort(
        new Failure('INTERRUPTED', `cannot go on: interrupted by ${name}`, { exitCode: name === 'SIGINT' ? 130 : 143 }),
      );
    });
  }
  // A reader that goes away (`| head`) is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  const program: Program = {
    argv: process.argv.slice(2),
    stdout: process.stdout,
    stderr: process.stderr,
    signal: controller.signal,
  };
  let code: number;
  try {
    code = await main(program);
  } catch (error) {
    code = showFailure(
      controller.signal.aborted ? controller.signal.reason : error,
      process.stderr,
      process.argv.includes('--json'),
    );
  }
  process.exitCode = code;
  process.exit(code);
}
