import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { CommandProgress, Node } from '../../../agent/api/command.ts';
import type { StepManager } from '../../../agent/engine/command-table.ts';
import { createRunner } from '../../../agent/engine/runner.ts';
import { stepCommands } from '../../../agent/engine/steps.ts';
import { systemFiles } from '../../../agent/os/files.ts';
import { findPlugins, type PluginDeps } from '../../../agent/plugins/find.ts';
import { readManifest } from '../../../agent/plugins/manifest.ts';
import { systemFollow } from '../../../system/follow.ts';
import { fakeOs } from '../../fakes/agent-os.ts';

// Plug-ins are real programs here, run as the agent runs them.

const EXAMPLE = 'docs/examples/steps/acme-firmware/files/etc/ingot/steps.d';
const os = fakeOs({ files: systemFiles, follow: systemFollow });
const node: Node = { uuid: 'n-1', properties: { 'colour of the door': 'red' } };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-plugins-'));
});
afterEach(() => rm(folder, { recursive: true }));

const STEP = { step: 'do_it', priorities: { clean: 10 }, argsinfo: { word: { description: 'a word' } } };

/** Puts a plug-in into the folder; `script` is its program. */
async function plugin(name: string, script: string, manifest: object = {}): Promise<void> {
  const whole = { version: '1.0', run: name, steps: [STEP], ...manifest };
  await writeFile(join(folder, `${name}.json`), JSON.stringify(whole));
  await writeFile(join(folder, name), `#!/bin/sh\n. ${resolve('elements/agent/files/etc/ingot/step')}\n${script}\n`);
  await chmod(join(folder, name), 0o755);
}

async function find(signal = new AbortController().signal) {
  const log: string[] = [];
  const managers = await findPlugins({ os, log: (line) => log.push(line), signal }, folder);
  return { managers, log };
}

async function execute(
  step: { step?: string; args?: Record<string, unknown> } = {},
  options: { managers?: StepManager<PluginDeps>[]; signal?: AbortSignal; kind?: string } = {},
) {
  const managers = options.managers ?? (await find()).managers;
  const log: string[] = [];
  const progress: CommandProgress[] = [];
  const runner = createRunner<PluginDeps>({
    commands: stepCommands({ managers: () => managers, cacheNode: () => undefined }),
    deps: { os },
    signal: options.signal ?? new AbortController().signal,
    log: (line) => log.push(line),
    events: { progress: (_command, one) => progress.push(one) },
  });
  const { kind = 'clean' } = options;
  const params = { step: { step: 'do_it', interface: 'deploy', ...step }, node, ports: [{ address: 'aa:bb' }] };
  const result = await runner.execute(`${kind}.execute_${kind}_step`, params, true);
  return { ...result, log, progress };
}

describe('a plug-in', () => {
  test('is a manager with a name, a version and steps', async () => {
    await plugin('site', 'true');
    const { managers, log } = await find();
    expect(managers).toMatchObject([{ name: 'site', className: 'site', version: '1.0', support: 3 }]);
    expect(log).toEqual(['plug-in site 1.0 has steps: do_it']);
  });

  test('reads what it shall do on standard input', async () => {
    await plugin('site', 'printf \'{"result": %s}\\n\' "$(cat)"');
    expect((await execute({ args: { word: 'wörd "q"' } })).command_result).toMatchObject({
      clean_result: {
        kind: 'clean',
        step: 'do_it',
        args: { word: 'wörd "q"' },
        node: { uuid: 'n-1', properties: node.properties },
        ports: [{ address: 'aa:bb' }],
      },
      clean_step: { step: 'do_it' },
    });
  });

  test('or in variables, and gets its step as the last argument', async () => {
    await plugin('site', 'result "$1,$2,$INGOT_STEP,$INGOT_KIND,$INGOT_NODE_UUID,$INGOT_ARG_word"', {
      run: 'site first',
    });
    const words = async (word: unknown) => {
      const { command_result } = await execute({ args: { word } });
      return (command_result as { clean_result: unknown }).clean_result;
    };
    expect(await words('a\nb "c" \\ \u0007')).toBe('first,do_it,do_it,clean,n-1,a\nb "c" \\ ');
    expect(await words({ a: [1, true] })).toBe('first,do_it,do_it,clean,n-1,{"a":[1,true]}');
    expect(await words('x'.repeat(200_000))).toBe('first,do_it,do_it,clean,n-1,');
  });

  test('says how far it is, and what else it says goes to the log', async () => {
    await plugin(
      'site',
      'progress "write \\"a\\"" 1 4 blocks; echo some words; echo \'{"no": "protocol"}\'; echo more >&2; progress end; result done',
    );
    const { progress, log, command_result } = await execute();
    expect(progress).toEqual([
      { phase: 'do_it' },
      { phase: 'write "a"', done: 1, total: 4, unit: 'blocks' },
      { phase: 'end' },
    ]);
    expect(log.toSorted()).toEqual(['do_it: more', 'do_it: some words', 'do_it: {"no": "protocol"}']);
    expect(command_result).toMatchObject({ clean_result: 'done' });
  });

  test.each([
    ['exit 3', 'CleaningError', 'step do_it ended with exit code 3'],
    ['echo a >&2; echo b >&2; exit 3', 'CleaningError', 'step do_it ended with exit code 3: a\nb'],
    ['fail "no \\"card\\""', 'CleaningError', 'step do_it ended with exit code 1: no "card"'],
    ['exit 64', 'InvalidCommandParamsError', 'step do_it ended with exit code 64'],
    ['kill -9 $$', 'CleaningError', 'step do_it was ended by SIGKILL'],
    [
      'echo \'{"error": {"type": "DeviceNotFound", "details": "no disk"}}\'',
      'DeviceNotFound',
      'step do_it failed: no disk',
    ],
    ['echo \'{"error": {"type": "Odd", "details": "no"}}\'', 'CleaningError', 'step do_it failed: Odd: no'],
    [
      'unsuitable "old card"',
      'HardwareManagerMethodNotFound',
      'cannot run clean step do_it: nobody has it for this hardware (site: step do_it ended with exit code 69: old card)',
    ],
  ])('that ends by %j fails with %s', async (script, type, details) => {
    await plugin('site', script);
    expect(await execute()).toMatchObject({ command_status: 'FAILED', command_error: { type, details } });
  });

  test('that takes too long, or is stopped with the agent, ends with all it has started', async () => {
    const mark = join(folder, 'mark');
    await plugin('site', `(sleep 1; touch ${mark}) & echo started; wait`, { steps: [{ ...STEP, timeout: 1 }] });
    await plugin('slow', `(sleep 1; touch ${mark}) & echo started; wait`);
    const { managers } = await find();
    const [site, slow] = managers;
    if (!site || !slow) throw new Error('no plug-ins');
    const controller = new AbortController();
    const stopped = execute({}, { managers: [slow], signal: controller.signal });
    setTimeout(() => controller.abort(new Error('the agent ends')), 300);
    expect((await stopped).command_error?.details).toContain('the agent ends');
    await expect(readFile(mark)).rejects.toThrow('ENOENT');
    expect((await execute({}, { managers: [site] })).command_error?.details).toContain('did not end within 1 s');
  });

  test('floods no log', async () => {
    await plugin('site', 'i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i + 1)); done');
    const { log } = await execute();
    expect(log).toHaveLength(501);
    expect(log.at(-1)).toContain('left out');
  });

  test('is left to the next of the same step when it is not for this hardware', async () => {
    await plugin('better', 'exit 69', { support: 3 });
    await plugin('plain', 'result plain', { support: 2 });
    expect((await execute()).command_result).toMatchObject({ clean_result: 'plain' });
  });
});

describe('whether a plug-in is for this machine', () => {
  test.each([
    ['exit 0', 1, /has steps/],
    ['exit 1', 0, /plug-in site has nothing to do on this machine/],
    [
      'echo oh; exit 7',
      0,
      /cannot use plug-in .*site\.json, .*: its question for hardware \(site --detect\) ended with 7: oh/,
    ],
  ] as const)('is what its question says: %s', async (script, count, line) => {
    await plugin('site', `[ "$1" = --detect ] && { ${script}; }`, { detect: 'site --detect' });
    const { managers, log } = await find();
    expect(managers).toHaveLength(count);
    expect(log.at(-1)).toMatch(line);
  });
});

describe('a plug-in that is broken is named with the reason, and the others stay', () => {
  test.each([
    ['no JSON', '{', 'it is no JSON'],
    ['empty', '', 'it is no JSON'],
    ['without a version', '{"run": "good", "steps": []}', 'version'],
    ['without steps', '{"version": "1", "run": "good", "steps": []}', 'steps must not have fewer than 1 items'],
    ['with a field too many', '{"version": "1", "run": "good", "steps": [], "x": 1}', 'x is no field of a manifest'],
    [
      'with a bad interface',
      '{"version": "1", "run": "good", "steps": [{"step": "a", "interface": "disk", "priorities": {"clean": 1}}]}',
      'steps.0.interface',
    ],
    [
      'with a step of no kind',
      '{"version": "1", "run": "good", "steps": [{"step": "a", "priorities": {}}]}',
      'step a is of no kind',
    ],
    [
      'with a step twice',
      '{"version": "1", "run": "good", "steps": [{"step": "a", "priorities": {"clean": 1}}, {"step": "a", "priorities": {"clean": 1}}]}',
      'two steps a',
    ],
    [
      'without its program',
      '{"version": "1", "run": "gone", "steps": [{"step": "a", "priorities": {"clean": 1}}]}',
      'gone is not there, or is no program',
    ],
  ])('%s', async (_, text, reason) => {
    await plugin('good', 'true');
    await writeFile(join(folder, 'bad.json'), text);
    const { managers, log } = await find();
    expect(managers.map(({ name }) => name)).toEqual(['good']);
    expect(log.find((line) => line.startsWith(`cannot use plug-in ${folder}/bad.json`))).toContain(reason);
  });

  test('by a name that is the agent’s', async () => {
    await plugin('GenericHardwareManager', 'true');
    expect((await find()).log[0]).toContain('its name is that of steps of the agent');
  });

  test('no folder is no plug-in', async () => {
    expect(await findPlugins({ os, log: () => undefined, signal: new AbortController().signal }, '/no/such')).toEqual(
      [],
    );
  });
});

describe('the example of docs/steps.md', () => {
  const step = (args: Record<string, unknown>) => ({ step: 'update_acme_firmware', args });

  beforeEach(async () => {
    await mkdir(folder, { recursive: true });
    await cp(EXAMPLE, folder, { recursive: true });
    // Where they are in a ramdisk there is nothing on this machine.
    const program = join(folder, 'acme-firmware');
    const text = await readFile(program, 'utf8');
    await writeFile(
      program,
      text
        .replace('. /etc/ingot/step', `. ${resolve('elements/agent/files/etc/ingot/step')}`)
        .replace('/run/acme-firmware', join(folder, 'card')),
    );
  });

  test('updates the card, says so, and does it only once', async () => {
    const { managers, log } = await find();
    expect(log).toEqual(['plug-in acme-firmware 1.0 has steps: update_acme_firmware']);
    const first = await execute(step({ version: '2.1' }), { managers, kind: 'service' });
    expect(first.command_result).toMatchObject({ service_result: 'the firmware was missing and is 2.1' });
    expect(first.progress.at(-1)).toMatchObject({ phase: 'write firmware', done: 4, total: 4, unit: 'blocks' });
    expect(first.log).toContain('update_acme_firmware: node n-1 has firmware 2.1');
    const second = await execute(step({ version: '2.1' }), { managers });
    expect(second.command_result).toMatchObject({ clean_result: 'the firmware is 2.1 already' });
  });

  test('refuses what it cannot do, in the kind’s own error', async () => {
    const { managers } = await find();
    expect((await execute(step({ version: 'new' }), { managers, kind: 'deploy' })).command_error).toMatchObject({
      type: 'DeploymentError',
      details:
        'step update_acme_firmware ended with exit code 1: cannot write firmware "new": a version begins with a digit',
    });
    expect((await execute(step({}), { managers })).command_error?.details).toContain('missing argument version');
  });

  test('has a manifest that is one', async () => {
    expect(readManifest(await readFile(join(EXAMPLE, 'acme-firmware.json'), 'utf8')).steps).toHaveLength(1);
  });
});
