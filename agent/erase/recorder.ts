import { Failure, reasonOf } from '../../system/failure.ts';
import type { RunOptions, RunResult } from '../../system/run.ts';
import type { Attempt } from '../../evidence/record.ts';
import { AgentError } from '../api/errors.ts';
import type { AgentOs } from '../os/door.ts';

type Ran = Attempt['commands'][number];

/** Runs programs and keeps what they were and how they ended, for the evidence. */
export type Recorder = {
  run: (program: string, args: readonly string[], options?: RunOptions) => Promise<RunResult>;
  commands: Ran[];
};

const OUTPUT_CHARS = 400;
/** Of a program that is asked again and again only the first and the last few answers are kept. */
const MOST_COMMANDS = 60;

function tail(text: string): string {
  return text.trim().slice(-OUTPUT_CHARS).toWellFormed();
}

/** The failure of a program names its arguments, and ends up in logs and in the evidence. */
function hidden(error: unknown, hide: (text: string) => string): unknown {
  const reason = reasonOf(error);
  if (hide(reason) === reason) return error;
  return new AgentError('CommandExecutionError', hide(reason));
}

/** @param secrets words that stand as *** in the evidence, and in what is thrown */
export function createRecorder(os: AgentOs, secrets: readonly string[] = []): Recorder {
  const commands: Ran[] = [];
  const hide = (text: string) => secrets.reduce((kept, secret) => kept.replaceAll(secret, '***'), text);
  return {
    commands,
    run: async (program, args, options = {}) => {
      const started = os.clock.monotonic();
      const entry: Ran = {
        command: hide([program, ...args].join(' ')),
        exit_code: null,
        started_at: new Date(os.clock.now()).toISOString(),
        milliseconds: 0,
        output: '',
      };
      commands.push(entry);
      if (commands.length > MOST_COMMANDS) commands.splice(MOST_COMMANDS / 2, 1);
      try {
        const result = await os.run(program, args, options);
        entry.exit_code = result.exitCode;
        entry.output = hide(tail(result.stdout + result.stderr));
        return result;
      } catch (error) {
        const ended =
          error instanceof Failure ? (error.cause as { exitCode?: unknown } | undefined)?.exitCode : undefined;
        entry.exit_code = typeof ended === 'number' ? ended : null;
        entry.output = hide(tail(reasonOf(error)));
        throw hidden(error, hide);
      } finally {
        entry.milliseconds = Math.round(os.clock.monotonic() - started);
      }
    },
  };
}
