/**
 * One shape for every failure that a person reads: what cannot be done, why, and what to try.
 *
 * Each program keeps its failures in a table (`defineFailures`), so that wording, hints and exit codes stand in one place
 * and a test can walk over them.
 */
export type FailureSpec = {
  /** Starts with "cannot", names the object, ends without a full stop. */
  message: (detail: string) => string;
  /** What the reader can try next. */
  hint?: string;
  /** Exit code of the program that ends with this failure; 1 unless said. */
  exitCode?: number;
};

export class Failure extends Error {
  override readonly name: string = 'Failure';
  readonly code: string;
  readonly hint: string | undefined;
  readonly exitCode: number;

  constructor(
    code: string,
    message: string,
    options: { hint?: string | undefined; exitCode?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? 1;
  }
}

/**
 * Turns a table of failures into a function that makes them.
 * @returns `fail(code, detail, {cause, hint})`: a `Failure` to throw; `hint` overrides the table's own.
 */
export function defineFailures<const T extends Record<string, FailureSpec>>(table: T) {
  return (code: keyof T & string, detail: string, options: { cause?: unknown; hint?: string } = {}): Failure => {
    const spec: FailureSpec | undefined = table[code];
    if (spec === undefined) throw new TypeError(`no failure is called ${code}`);
    return new Failure(code, spec.message(detail), {
      hint: options.hint ?? spec.hint,
      exitCode: spec.exitCode,
      cause: options.cause,
    });
  };
}

/** The text of anything that was thrown, for a log line or as the "why" of another failure. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
