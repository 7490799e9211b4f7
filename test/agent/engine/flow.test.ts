import { Type } from 'typebox';
import { expect, test, vi } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import type { CommandSpec } from '../../../agent/engine/command-table.ts';
import { flowCommand } from '../../../agent/engine/flow.ts';
import { createRunner } from '../../../agent/engine/runner.ts';

type Deps = { ran: string[] };

const COMMANDS: readonly CommandSpec<Deps>[] = [
  {
    name: 'test.note',
    mode: 'sync',
    summary: '',
    params: Type.Object({ word: Type.String() }),
    run: async ({ ran }, { word }: { word: string }) => ran.push(word),
  },
  {
    name: 'test.slow',
    mode: 'async',
    summary: '',
    params: Type.Object({}),
    run: async ({ ran }) => {
      await Promise.resolve();
      ran.push('slow');
    },
  },
  {
    name: 'test.fail',
    mode: 'async',
    summary: '',
    params: Type.Object({}),
    run: async () => {
      throw new AgentError('DeviceNotFound', 'no disk');
    },
  },
  flowCommand<Deps>(() => COMMANDS),
];

function setup() {
  const deps: Deps = { ran: [] };
  const log = vi.fn<(message: string) => void>();
  const runner = createRunner({ commands: COMMANDS, deps, signal: new AbortController().signal, log });
  return { deps, runner, start: (flow: unknown) => runner.execute('flow.start_flow', { flow }, true) };
}
const note = (word: string) => ({ 'test.note': { word } });

test('a flow runs its commands in order, each after the one before, and is alone in the list', async () => {
  const { deps, runner, start } = setup();
  const result = await start([
    note('a'),
    { 'test.slow': {} },
    { ...note('b'), 'flow.start_flow': { flow: [note('c')] } },
  ]);
  expect(result).toMatchObject({ command_name: 'start_flow', command_status: 'SUCCEEDED', command_result: null });
  expect(deps.ran).toEqual(['a', 'slow', 'b', 'c']);
  expect(runner.history()).toHaveLength(1);
});

test('the first failure ends a flow with its name and its reason', async () => {
  const { deps, start } = setup();
  expect(await start([note('a'), { 'test.fail': {} }, note('b')])).toMatchObject({
    command_status: 'FAILED',
    command_error: { type: 'CommandExecutionError', details: 'test.fail was failed: no disk' },
  });
  expect(deps.ran).toEqual(['a']);
});

test('bad parameters of a command in it fail the flow', async () => {
  const { start } = setup();
  expect((await start([{ 'test.note': {} }])).command_error?.details).toContain('missing parameter word');
});

test.each([
  [[note('a'), { 'nothing.note': {} }], { type: 'NotFound', code: 404 }],
  [[note('a'), { 'test.nothing': {} }], { type: 'InvalidCommandError', code: 400 }],
  [[note('a'), { nothing: {} }], { type: 'InvalidCommandError', code: 400 }],
  [[note('a'), { 'test.note': 3 }], { type: 'InvalidCommandParamsError', code: 400 }],
  ['all', { type: 'InvalidCommandParamsError', code: 400 }],
])('%j is refused before anything of it runs', async (flow, error) => {
  const { deps, runner, start } = setup();
  await expect(start(flow)).rejects.toMatchObject(error);
  expect(deps.ran).toEqual([]);
  expect(runner.history()).toEqual([]);
});
