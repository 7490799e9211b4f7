import { Type } from 'typebox';

import { AgentError } from '../api/errors.ts';
import type { CommandSpec } from './command-table.ts';
import { createRunner, findCommand } from './runner.ts';

type Flow = Record<string, Record<string, unknown>>[];

/**
 * `flow.start_flow`: commands one after the other, each waited for, the first failure being the flow's. Their results are
 * nobody's but the flow's: in the list of commands stands the flow alone.
 * @param commands all that a flow may have, itself included
 */
export function flowCommand<Deps>(commands: () => readonly CommandSpec<Deps>[]): CommandSpec<Deps> {
  return {
    name: 'flow.start_flow',
    mode: 'async',
    summary: 'Runs commands one after the other, until one fails.',
    params: Type.Object({
      flow: Type.Array(Type.Record(Type.String(), Type.Record(Type.String(), Type.Unknown()))),
    }),
    validate: ({ flow }: { flow: Flow }) => {
      for (const name of flow.flatMap((task) => Object.keys(task))) findCommand(commands(), name);
    },
    run: async (deps, { flow }: { flow: Flow }, context) => {
      const total = flow.flatMap((task) => Object.keys(task)).length;
      const runner = createRunner<Deps>({
        commands: commands(),
        deps,
        signal: context.signal,
        log: context.log,
        events: {
          progress: (command, progress) => context.progress({ ...progress, phase: `${command}: ${progress.phase}` }),
        },
      });
      let done = 0;
      for (const [name, params] of flow.flatMap((task) => Object.entries(task))) {
        context.signal.throwIfAborted();
        context.progress({ phase: name, done, total, unit: 'commands' });
        context.log(`flow: ${name}`);
        const result = await runner.execute(name, params, true);
        if (result.command_status !== 'SUCCEEDED') {
          throw new AgentError('CommandExecutionError', `${name} was failed: ${result.command_error?.details ?? ''}`);
        }
        done += 1;
      }
      return null;
    },
  };
}
