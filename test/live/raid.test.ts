import { createReadStream } from 'node:fs';
import { copyFile, mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import type { CommandResult } from '../../agent/api/command.ts';
import type { Heartbeat } from '../../agent/api/ironic.ts';
import type { Inventory } from '../../agent/api/inventory.ts';
import type { CreationPreview } from '../../agent/raid/preview.ts';
import { findQemuMachine } from '../../arch/qemu.ts';
import { buildRamdisk } from '../../builder/build.ts';
import { openHost } from '../../builder/host/system.ts';
import { createProgress } from '../../cli/progress.ts';
import { chooseAcceleration } from '../../machine/acceleration.ts';
import type { MachineDisk } from '../../machine/arguments.ts';
import { bootArguments, runMachine } from '../../machine/boot.ts';
import { freePorts } from '../../machine/ports.ts';
import { systemRun, systemStart } from '../../system/run.ts';
import { type FakeIronic, NODE_UUID, startFakeIronic } from '../fakes/ironic.ts';
import { callAgent } from '../lab/agent-call.ts';
import { findPlatform } from '../lab/platform.ts';
import { labTools } from '../lab/tools.ts';
import { type UserImage, userImage } from '../lab/user-image.ts';

// Software RAID with a real kernel: every level is made and deleted, an operating system is deployed to RAID 1, and that starts from
// each of its two disks while the other one is not in the machine.

const GIB = 2 ** 30;
const controller = new AbortController();
const { signal } = controller;
const progress = createProgress('lines', { write: (text) => process.stdout.write(text) });
const cleanup: (() => unknown)[] = [];

const DISKS = [
  { kind: 'virtio', serial: 'RAID-A' },
  { kind: 'nvme', serial: 'RAID-B' },
  { kind: 'virtio', serial: 'RAID-C' },
  { kind: 'virtio', serial: 'RAID-D' },
] as const;

let folder: string;
let ironic: FakeIronic;
let image: UserImage;
let imageUrl: string;
let beat: Heartbeat;
/** QEMU's words for a machine with these disks, that starts from the ramdisk or from its firmware's boot entries. */
let words: (options: { disks: readonly MachineDisk[]; variables: string; ramdisk: boolean }) => string[];
let run: (args: readonly string[], onLine: (line: string) => void, end: AbortSignal) => Promise<void>;
let disks: MachineDisk[];
let variables: string;
let off: Promise<void>;
const ramdiskLines: string[] = [];

const call = async (path: string, body: object) => (await callAgent(beat, path, body)) as CommandResult;
async function command(name: string, params: object = {}): Promise<CommandResult> {
  const result = await call('/v1/commands/?wait=true', { name, params });
  if (result.command_status !== 'SUCCEEDED')
    throw new Error(`${name}: ${JSON.stringify(result.command_error)}\n${ramdiskLines.slice(-40).join('\n')}`);
  return result;
}

let node: Record<string, unknown> = { uuid: NODE_UUID };
async function deployStep(step: string, args: object): Promise<unknown> {
  const params = { step: { step, interface: 'raid', args }, node, ports: [] };
  const { command_result: result } = await command('deploy.execute_deploy_step', params);
  return (result as { deploy_result: unknown }).deploy_result;
}

/** Serves the one file to the machine. */
async function serve(path: string): Promise<string> {
  const { size } = await stat(path);
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': size });
    createReadStream(path).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.push(() => server.close());
  return `http://10.0.2.2:${(server.address() as AddressInfo).port}/user.qcow2`;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-live-raid-'));
  const host = await openHost({});
  const ramdisk = join(folder, 'ramdisk');
  await buildRamdisk({
    host,
    arch: 'x86_64',
    elements: ['agent'],
    compress: 'zstd:3',
    output: ramdisk,
    progress,
    signal,
  });
  const machine = findQemuMachine('x86_64');
  if (machine === undefined) throw new Error('no such machine');
  const tools = await labTools(host, machine, { progress, signal });
  image = await userImage({ host, tools, platform: findPlatform('x86_64'), progress, signal });
  imageUrl = await serve(image.qcow2.path);
  const probe = { tools, machine, start: systemStart, signal };
  const { acceleration } = await chooseAcceleration(`${ramdisk}.kernel`, host.cache, probe);
  const [agentPort = 0] = await freePorts(1);
  ironic = await startFakeIronic();
  cleanup.push(() => ironic.close());
  disks = DISKS.map(({ kind, serial }) => ({ kind, serial, path: join(folder, `${serial}.raw`) }));
  for (const { path } of disks) {
    await writeFile(path, '');
    await truncate(path, 3 * GIB);
  }
  variables = join(folder, 'variables.fd');
  await copyFile(tools.path(machine.firmware.variables), variables);
  const append = [
    `ipa-api-url=${ironic.url.replace('127.0.0.1', '10.0.2.2')}`,
    `ipa-advertise-host=127.0.0.1 ipa-advertise-port=${agentPort}`,
  ].join(' ');
  words = (options) => {
    const all = bootArguments(
      { machine, tools, acceleration },
      { kernel: `${ramdisk}.kernel`, initramfs: `${ramdisk}.initramfs`, append },
      {
        cpus: 2,
        memoryMiB: 1024,
        disks: options.disks,
        forwards: options.ramdisk ? [{ host: agentPort, guest: 9999 }] : [],
        uefi: true,
      },
      false,
    ).map((word) =>
      word.startsWith('if=pflash,unit=1') ? `if=pflash,unit=1,format=raw,file=${options.variables}` : word,
    );
    const given = ['-kernel', '-initrd', '-append'];
    return options.ramdisk
      ? all
      : all.filter((word, index) => !given.includes(word) && !given.includes(all[index - 1] ?? ''));
  };
  run = (args, onLine, end) =>
    runMachine({
      tools,
      program: machine.program,
      args,
      start: systemStart,
      signal: AbortSignal.any([signal, end]),
      onLine,
    });
  const first = ironic.next(({ path }) => path.startsWith('/v1/heartbeat/'));
  off = run(words({ disks, variables, ramdisk: true }), (line) => ramdiskLines.push(line), signal);
  off.catch(() => undefined);
  beat = (await first).body as Heartbeat;
});

afterAll(async () => {
  controller.abort();
  await off?.catch(() => undefined);
  for (const undo of cleanup.toReversed()) await undo();
  await rm(folder, { recursive: true, force: true });
});

const software = (fields: object) => ({ controller: 'software', ...fields });
const arraysOf = async (): Promise<Inventory['disks']> => {
  const { command_result: inventory } = await command('poll.get_hardware_info');
  return (inventory as Inventory).disks.filter(({ name }) => name.startsWith('/dev/md'));
};

test('arrays of every level are made over four disks, have their sizes, and are deleted for others', async () => {
  const config = {
    logical_disks: [
      software({ size_gb: 'MAX', raid_level: '0', volume_name: 'scratch' }),
      software({ size_gb: 1, raid_level: '1+0', volume_name: 'ten' }),
      software({ size_gb: 1, raid_level: '5', volume_name: 'five' }),
      software({ size_gb: 1, raid_level: '6' }),
    ],
  };
  const plan = (await deployStep('apply_configuration', { raid_config: config, dry_run: true })) as CreationPreview;
  expect(plan).toMatchObject({ dry_run: true, before: [] });
  // Nothing of it was made.
  expect(await arraysOf()).toEqual([]);
  const made = await deployStep('apply_configuration', { raid_config: config });
  expect(made).toEqual({
    logical_disks: config.logical_disks.map((one, index) => (index === 3 ? { volume_name: 'md2', ...one } : one)),
  });
  const sizes = Object.fromEntries((await arraysOf()).map(({ name, size }) => [name, size / GIB]));
  expect(Object.keys(sizes).toSorted()).toEqual(['/dev/md0', '/dev/md1', '/dev/md2', '/dev/md3']);
  for (const name of ['/dev/md0', '/dev/md1', '/dev/md2']) expect(sizes[name]).toBeGreaterThanOrEqual(1);
  // It was that plan.
  expect(plan.arrays.map(({ device }) => device).toSorted()).toEqual(Object.keys(sizes).toSorted());
  const log = ramdiskLines.join('\n');
  for (const line of plan.lines) expect(log).toContain(line);
  // What disks of 3 GiB have left, times four.
  expect(sizes['/dev/md3']).toBeGreaterThan(1);

  // Deletes the four, too.
  const root = {
    logical_disks: [
      software({
        size_gb: 'MAX',
        raid_level: '1',
        volume_name: 'root',
        is_root_volume: true,
        physical_disks: [{ serial: 'RAID-A' }, { serial: 'RAID-B' }],
      }),
    ],
  };
  const raid_config = await deployStep('apply_configuration', { raid_config: root });
  expect(raid_config).toEqual(root);
  node = { ...node, raid_config };
  const arrays = await arraysOf();
  expect(arrays.map(({ name }) => name)).toEqual(['/dev/md0']);
});

test('an operating system is deployed to the mirror, and every disk of it gets a boot entry', async () => {
  const image_info = {
    id: 'user',
    urls: [imageUrl],
    disk_format: 'qcow2',
    os_hash_algo: 'sha256',
    os_hash_value: image.qcow2.sha256,
  };
  expect(await deployStep('write_image', { image_info })).toMatchObject({
    result: expect.stringContaining('written to device /dev/md0') as string,
  });
  await command('image.install_bootloader', { root_uuid: null, target_boot_mode: 'uefi' });
  const { command_result } = await command('log.collect_system_logs');
  const archive = join(folder, 'logs.tar.gz');
  await writeFile(archive, Buffer.from((command_result as { system_logs: string }).system_logs, 'base64'));
  const { stdout: entries } = await systemRun('tar', ['-xzOf', archive, 'efibootmgr']);
  for (const label of ['ironic1 (RAID, part0)', 'ironic1 (RAID, part1)']) expect(entries).toContain(label);
  // The machine may be off before it has answered.
  await call('/v1/commands/?wait=false', { name: 'standby.power_off', params: {} }).catch(() => undefined);
  await off;
});

test('it starts from either disk while the other one is not in the machine', async () => {
  /** @returns its console, once somebody could log in */
  const startFrom = async (index: number): Promise<string> => {
    const disk = disks[index];
    if (disk === undefined) throw new Error('no such disk');
    const own = join(folder, `variables-${index}.fd`);
    await copyFile(variables, own);
    const end = new AbortController();
    const lines: string[] = [];
    const isUp = (line: string): boolean => /Reached target .*(?:Multi-User|multi-user)|login:/.test(line);
    await run(
      words({ disks: [disk], variables: own, ramdisk: false }),
      (line) => {
        lines.push(line);
        if (isUp(line)) end.abort(new Error('it is up'));
      },
      end.signal,
    ).catch((error: unknown) => {
      if (!end.signal.aborted) throw new Error(`${String(error)}\n${lines.slice(-40).join('\n')}`, { cause: error });
    });
    return lines.join('\n');
  };
  const consoles = await Promise.all([startFrom(0), startFrom(1)]);
  for (const text of consoles) {
    expect(text).toMatch(/md\/raid1:md\d+: active with 1 out of 2 mirrors/);
    expect(text).toMatch(/multi-user|Multi-User|login:/);
  }
  // The firmware went past the entry of the disk that is gone. What it loaded last it starts; of that line the console may lose the end,
  // because the kernel's EFI stub begins to write before the firmware's words are out.
  const firmware = consoles.map((text) => text.split('\n').filter((line) => line.includes('BdsDxe')));
  const loaded = firmware.map((lines) =>
    lines.flatMap((line) => /BdsDxe: loading Boot\w+ \\?"ironic1 \(RAID, (part\d)\)/.exec(line)?.[1] ?? []).at(-1),
  );
  // With them what the firmware said stands in a failure.
  expect({ firmware, loaded: new Set(loaded) }).toEqual({ firmware, loaded: new Set(['part0', 'part1']) });
});
