import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { createRunner } from '../../../agent/engine/runner.ts';
import { stepCommands } from '../../../agent/engine/steps.ts';
import { systemFiles } from '../../../agent/os/files.ts';
import { findPlugins, type PluginDeps } from '../../../agent/plugins/find.ts';
import { systemFollow } from '../../../system/follow.ts';
import { fakeOs } from '../../fakes/agent-os.ts';

// The example of docs/steps.md is run as the agent runs it, against a fake of the controller's tool: test/fakes/storcli.ts.

const EXAMPLE = 'docs/examples/steps/storcli-raid/files/etc/ingot/steps.d';
const os = fakeOs({ files: systemFiles, follow: systemFollow });
const DRIVES = ['252:0', '252:1', '252:2', '252:3'].map((slot, index) => ({
  'EID:Slt': slot,
  State: 'UGood',
  Med: index < 2 ? 'SSD' : 'HDD',
}));

let folder: string;
const stateFile = () => join(folder, 'state.json');
const state = async () => JSON.parse(await readFile(stateFile(), 'utf8')) as { virtual: object[]; calls: string[] };
const setState = (more: object = {}) =>
  writeFile(stateFile(), JSON.stringify({ drives: DRIVES, virtual: [], calls: [], ...more }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-storcli-'));
  await cp(EXAMPLE, folder, { recursive: true });
  const tool = join(folder, 'storcli64');
  const words = [process.execPath, resolve('test/fakes/storcli.ts'), stateFile()].map((word) => `'${word}'`);
  await writeFile(tool, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`, { mode: 0o755 });
  // Where Node and the tool are in a ramdisk there is nothing on this machine.
  const program = join(folder, 'storcli-raid');
  const text = await readFile(program, 'utf8');
  const moved = text
    .replace('#!/opt/ingot/node', `#!${process.execPath}`)
    .replace(/'\/opt\/MegaRAID[^']*'/, `'${tool}'`);
  await writeFile(program, moved);
  await setState();
});
afterEach(() => rm(folder, { recursive: true }));

async function perform(step: string, logical_disks: object[], args: object = {}) {
  const signal = new AbortController().signal;
  const managers = await findPlugins({ os, log: () => undefined, signal }, folder);
  const runner = createRunner<PluginDeps>({
    commands: stepCommands({ managers: () => managers, cacheNode: () => undefined }),
    deps: { os },
    signal,
    log: () => undefined,
    events: { progress: () => undefined },
  });
  const node = { uuid: 'n-1', target_raid_config: { logical_disks } };
  const params = { step: { step, interface: 'raid', args }, node, ports: [] };
  const result = await runner.execute('clean.execute_clean_step', params, true);
  const { clean_result } = (result.command_result ?? {}) as { clean_result?: unknown };
  return { made: clean_result, error: result.command_error };
}

const hardware = (more: object) => ({ raid_level: '1', size_gb: 'MAX', ...more });

test('virtual drives are made of what is wanted, said as Ironic keeps it, and deleted again', async () => {
  const wanted = [
    hardware({ volume_name: 'root', disk_type: 'ssd', is_root_volume: true }),
    hardware({ raid_level: '0', size_gb: 100, physical_disks: ['252:3'] }),
  ];
  const { made, error } = await perform('create_configuration', wanted);
  expect(error).toBeNull();
  expect(made).toEqual({
    logical_disks: [
      { ...wanted[0], physical_disks: ['252:0', '252:1'] },
      { ...wanted[1], volume_name: 'vd1', physical_disks: ['252:3'] },
    ],
  });
  expect((await state()).virtual).toMatchObject([
    { TYPE: 'RAID1', Name: 'root', drives: ['252:0', '252:1'] },
    { TYPE: 'RAID0', Name: 'vd1', drives: ['252:3'] },
  ]);
  expect((await perform('delete_configuration', wanted)).error).toBeNull();
  expect((await state()).virtual).toEqual([]);
});

test('a dry run tells the very words, and changes nothing', async () => {
  const words = 'type=r1 size=all name=vd0 drives=252:0,252:1';
  const dry = await perform('create_configuration', [hardware({})], { dry_run: true });
  expect(dry.made).toMatchObject({ dry_run: true, lines: [words] });
  expect((await state()).calls.filter((call) => call.includes(' add '))).toEqual([]);
  await perform('create_configuration', [hardware({})]);
  expect((await state()).calls).toContain(`/c0 add vd ${words}`);
});

test('what the controller refuses, and what it does not have, fails the step with its words', async () => {
  const few = await perform('create_configuration', [hardware({ number_of_physical_disks: 5 })]);
  expect(few.error?.details).toContain('logical disk 1 needs 5 drives; free are 252:0, 252:1, 252:2, 252:3');
  await setState({ refusal: 'controller is busy' });
  const busy = await perform('create_configuration', [hardware({})]);
  expect(busy.error?.details).toContain('controller is busy');
  expect((await perform('create_configuration', [hardware({ raid_level: '2' })])).error).toMatchObject({
    type: 'InvalidCommandParamsError',
  });
});

test('software RAID is handed on to whoever else has the step', async () => {
  const { error } = await perform('create_configuration', [hardware({ controller: 'software' })]);
  expect(error).toMatchObject({ type: 'HardwareManagerMethodNotFound' });
  expect((await state()).calls.filter((call) => call !== 'show ctrlcount')).toEqual([]);
});
