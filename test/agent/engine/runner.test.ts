import { Type } from 'typebox';
import { describe, expect, test, vi } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import type { CommandResult } from '../../../agent/api/command.ts';
import type { CommandSpec } from '../../../agent/engine/command-table.ts';
import { createRunner, type RunnerEvents } from '../../../agent/engine/runner.ts';
import { Failure } from '../../../system/failure.ts';

type Deps = { gate: Promise<unknown> };

function deferred() {
  let open: (value?: unknown) => void = () => undefined;
  const promise = new Promise((resolve) => (open = resolve));
  return { promise, open };
}

const none = Type.Object({});
const command = (
  name: string,
  mode: 'sync' | 'async',
  run: CommandSpec<Deps>['run'],
  params = none,
): CommandSpec<Deps> => ({
  name,
  mode,
  summary: name,
  params,
  run,
});

const COMMANDS: CommandSpec<Deps>[] = [
  command('test.text', 'sync', async () => 'hello'),
  command('test.nothing', 'sync', async () => undefined),
  command('test.list', 'sync', async () => [1, 2]),
  command('test.loop', 'sync', async () => {
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    return loop;
  }),
  command('test.fail', 'sync', async () => {
    throw new AgentError('DeviceNotFound', 'no disk matches');
  }),
  command('test.crash', 'sync', async () => {
    throw new Failure('X', 'cannot do it', { hint: 'do something else' });
  }),
  command('test.wait', 'sync', async ({ gate }) => gate),
  command(
    'test.typed',
    'sync',
    async (_deps, params: { count: number }) => params.count * 2,
    Type.Object({
      count: Type.Integer(),
      label: Type.Optional(Type.String()),
    }),
  ),
  command('work.text', 'async', async () => 'done'),
  command('work.slow', 'async', async ({ gate }, _params, context) => {
    context.progress({ phase: 'slow', done: 1, total: 2 });
    await gate;
    context.progress({ phase: 'slow', done: 2, total: 2 });
    return { ok: true };
  }),
  command('work.fail', 'async', async () => {
    throw new RangeError('off by one');
  }),
  command('work.mismatch', 'async', async () => {
    throw new AgentError('VersionMismatch', 'other version');
  }),
  {
    ...command('work.checked', 'async', async () => null, Type.Object({ size: Type.Integer() })),
    validate: (params: { size: number }) => {
      if (params.size > 9) throw new AgentError('InvalidCommandParamsError', 'size is at most 9');
    },
  },
];

function setup(options: { gate?: Promise<unknown>; restored?: CommandResult[]; events?: RunnerEvents } = {}) {
  const saved: CommandResult[][] = [];
  const log = vi.fn<(message: string) => void>();
  const runner = createRunner<Deps>({
    commands: COMMANDS,
    deps: { gate: options.gate ?? Promise.resolve() },
    signal: new AbortController().signal,
    log,
    save: async (history) => void saved.push(structuredClone([...history])),
    ...(options.restored && { restored: options.restored }),
    ...(options.events && { events: options.events }),
  });
  return { runner, saved, log };
}

describe('results', () => {
  test('text is wrapped, of an async command with its name; the rest stays as it is', async () => {
    const { runner } = setup();
    expect(await runner.execute('test.text', {})).toMatchObject({
      command_name: 'text',
      command_status: 'SUCCEEDED',
      command_error: null,
      command_result: { result: 'hello' },
    });
    expect((await runner.execute('work.text', {}, true)).command_result).toEqual({ result: 'text: done' });
    expect((await runner.execute('test.nothing', {})).command_result).toBeNull();
    expect((await runner.execute('test.list', {})).command_result).toEqual([1, 2]);
  });

  test('have exactly the fields of the protocol', async () => {
    const { runner } = setup();
    const result = await runner.execute('test.text', {});
    expect(Object.keys(result)).toEqual(['id', 'command_name', 'command_status', 'command_error', 'command_result']);
  });

  test('that JSON cannot carry are a failure, and the history can still be listed', async () => {
    const { runner } = setup();
    const result = await runner.execute('test.loop', {});
    expect(result.command_status).toBe('FAILED');
    expect(result.command_error?.details).toMatch(/^cannot send the result of loop/);
    expect(() => JSON.stringify(runner.history())).not.toThrow();
  });
});

describe('failures', () => {
  test('of a sync command carry the full name, the type, the code and the details', async () => {
    const { runner } = setup();
    expect(await runner.execute('test.fail', {})).toMatchObject({
      command_name: 'test.fail',
      command_status: 'FAILED',
      command_error: { type: 'DeviceNotFound', code: 404, details: 'no disk matches' },
      command_result: null,
    });
  });

  test('of any other class become CommandExecutionError, with the hint', async () => {
    const { runner } = setup();
    expect((await runner.execute('test.crash', {})).command_error).toEqual({
      type: 'CommandExecutionError',
      code: 500,
      message: 'Command execution failed',
      details: 'cannot do it; try: do something else',
    });
    expect(await runner.execute('work.fail', {}, true)).toMatchObject({
      command_name: 'fail',
      command_error: { type: 'CommandExecutionError', details: 'off by one' },
    });
  });

  test('a version mismatch has a status of its own', async () => {
    const { runner } = setup();
    expect((await runner.execute('work.mismatch', {}, true)).command_status).toBe('CLEAN_VERSION_MISMATCH');
  });

  test.each([
    ['test.text', { x: 1 }, 'cannot run text: unknown parameter x; it takes none', 'test.text'],
    ['test.typed', {}, 'cannot run typed: missing parameter count; it takes count, label', 'test.typed'],
    ['work.checked', { size: 1, __proto__x: 1 }, /unknown parameter __proto__x/, 'checked'],
    ['test.typed', { constructor: 1, count: 1 }, /unknown parameter constructor/, 'test.typed'],
  ])('%s with bad parameter names is a recorded TypeError', async (name, params, details, shown) => {
    const { runner } = setup();
    const result = await runner.execute(name, params, true);
    expect(result.command_error?.type).toBe('TypeError');
    expect(result.command_error?.details).toMatch(details);
    expect(result.command_name).toBe(shown);
    expect(runner.history()).toHaveLength(1);
  });

  test.each([
    ['nodot', 'Invalid command: Command name must be of the form <extension>.<name>'],
    ['test.', 'Invalid command: Command name must be of the form <extension>.<name>'],
    ['foo.bar', 'Not found: Extension with id foo not found.'],
    ['test.bar', 'Invalid command: Unknown command: bar'],
    ['test.toString', 'Invalid command: Unknown command: toString'],
  ])('%s is refused and not recorded', async (name, message) => {
    const { runner } = setup();
    await expect(runner.execute(name, {})).rejects.toThrow(message);
    expect(runner.history()).toEqual([]);
  });

  test('bad values are refused and not recorded, by schema and by validator, without showing the value', async () => {
    const { runner } = setup();
    await expect(runner.execute('test.typed', { count: 'secret' })).rejects.toThrow(
      /^Invalid command parameters: cannot run typed: count must be integer$/,
    );
    await expect(runner.execute('work.checked', { size: 10 })).rejects.toThrow(
      'Invalid command parameters: size is at',
    );
    expect(runner.history()).toEqual([]);
  });
});

describe('one at a time', () => {
  test('while an async command runs, every other is refused; the running one is listed with its progress', async () => {
    const gate = deferred();
    const { runner } = setup({ gate: gate.promise });
    const started = await runner.execute('work.slow', {});
    expect(started.command_status).toBe('RUNNING');
    await expect(runner.execute('test.text', {})).rejects.toThrow('Agent is busy: executing command slow');
    await expect(runner.execute('foo.bar', {})).rejects.toThrow('Agent is busy');
    await expect(runner.execute('nodot', {})).rejects.toThrow('Invalid command');
    await vi.waitFor(() => expect(runner.history()[0]?.progress).toMatchObject({ phase: 'slow', done: 1 }));
    const waiting = runner.get(started.id, true);
    gate.open();
    expect(await waiting).toEqual({
      id: started.id,
      command_name: 'slow',
      command_status: 'SUCCEEDED',
      command_error: null,
      command_result: { ok: true },
    });
    expect((await runner.execute('test.text', {})).command_status).toBe('SUCCEEDED');
  });

  test('sync commands wait for each other, and the history keeps the order', async () => {
    const gate = deferred();
    const { runner } = setup({ gate: gate.promise });
    const first = runner.execute('test.wait', {});
    const second = runner.execute('test.text', {});
    await vi.waitFor(() => expect(runner.history()).toHaveLength(1));
    expect(runner.history()[0]?.command_status).toBe('RUNNING');
    gate.open('first');
    await Promise.all([first, second]);
    expect(runner.history().map((result) => result.command_name)).toEqual(['wait', 'text']);
  });

  test('an unknown result is NotFound', async () => {
    await expect(setup().runner.get('x')).rejects.toThrow('Not found: Command Result with id x not found.');
  });
});

describe('across a restart', () => {
  test('the history is saved before a command starts and after it ended', async () => {
    const gate = deferred();
    const { runner, saved } = setup({ gate: gate.promise });
    const { id } = await runner.execute('work.slow', {});
    await vi.waitFor(() => expect(saved).toHaveLength(1));
    expect(saved[0]?.map((result) => result.command_status)).toEqual(['RUNNING']);
    gate.open();
    await runner.get(id, true);
    expect(saved.at(-1)?.map((result) => result.command_status)).toEqual(['SUCCEEDED']);
  });

  test('what was running is FAILED and says why; the next command is taken', async () => {
    const first = setup({ gate: new Promise(() => undefined) });
    await first.runner.execute('test.text', {});
    const { id } = await first.runner.execute('work.slow', {});
    await vi.waitFor(() => expect(first.saved.at(-1)).toHaveLength(2));
    const second = setup({ restored: first.saved.at(-1) ?? [] });
    expect(second.runner.history().map((result) => result.command_status)).toEqual(['SUCCEEDED', 'FAILED']);
    const failed = await second.runner.get(id, true);
    expect(failed.command_name).toBe('slow');
    expect(failed.command_error?.details).toMatch(/^the agent stopped and was started again while slow was running/);
    expect((await second.runner.execute('test.text', {})).command_status).toBe('SUCCEEDED');
    expect(second.runner.history()).toHaveLength(3);
  });

  test('a history that cannot be saved stops no command', async () => {
    const log = vi.fn<(message: string) => void>();
    const runner = createRunner<Deps>({
      commands: COMMANDS,
      deps: { gate: Promise.resolve() },
      signal: new AbortController().signal,
      log,
      save: () => Promise.reject(new Error('ENOSPC')),
    });
    expect((await runner.execute('test.text', {})).command_status).toBe('SUCCEEDED');
    expect(log).toHaveBeenCalledWith('cannot keep the command history: ENOSPC');
  });
});

test('events tell async ends, so that a heartbeat follows, and rates are worked out', async () => {
  let time = 0;
  const finished = vi.fn<NonNullable<RunnerEvents['finished']>>();
  const progress = vi.fn<NonNullable<RunnerEvents['progress']>>();
  const runner = createRunner<Deps>({
    commands: [
      command('work.bytes', 'async', async (_deps, _params, context) => {
        context.progress({ phase: 'write', done: 0, unit: 'bytes' });
        time += 2000;
        context.progress({ phase: 'write', done: 5000, unit: 'bytes' });
      }),
    ],
    deps: { gate: Promise.resolve() },
    signal: new AbortController().signal,
    log: () => undefined,
    monotonic: () => time,
    events: { finished, progress },
  });
  await runner.execute('work.bytes', {}, true);
  expect(progress.mock.calls.map(([, shown]) => shown.rate)).toEqual([undefined, 2500]);
  expect(finished).toHaveBeenCalledWith(expect.objectContaining({ command_status: 'SUCCEEDED' }), 'async');
});

describe('a command that is taken beside another', () => {
  const beside = {
    ...command('test.beside', 'sync', async () => 'seen', Type.Object({ word: Type.Optional(Type.String()) })),
    whileBusy: true,
  };
  function busy(name: string) {
    const { promise, open } = deferred();
    const runner = createRunner<Deps>({
      commands: [...COMMANDS, beside],
      deps: { gate: promise },
      signal: new AbortController().signal,
      log: () => undefined,
    });
    const running = runner.execute(name, {});
    return { runner, running, open };
  }

  test.each(['work.slow', 'test.wait'])('runs while %s does, and is in no history', async (name) => {
    const { runner, running, open } = busy(name);
    await vi.waitFor(() => expect(runner.history()).toMatchObject([{ command_status: 'RUNNING' }]));
    expect(await runner.execute('test.beside', {})).toMatchObject({
      command_name: 'beside',
      command_status: 'SUCCEEDED',
      command_result: { result: 'seen' },
    });
    await expect(runner.execute('test.beside', { word: 3 })).rejects.toMatchObject({
      type: 'InvalidCommandParamsError',
    });
    expect((await runner.execute('test.beside', { worm: 3 })).command_error?.type).toBe('TypeError');
    expect(runner.history()).toHaveLength(1);
    open();
    await running;
  });

  test('is one like all others when nothing runs', async () => {
    const { runner, running, open } = busy('work.slow');
    open();
    const { id } = await running;
    await runner.get(id, true);
    const last = await runner.execute('test.beside', {});
    expect(runner.history().at(-1)).toEqual(last);
  });
});
