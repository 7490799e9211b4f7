import { copyFile, mkdir, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect, test } from 'vitest';

import type { CommandResult } from '../../agent/api/command.ts';
import type { Heartbeat } from '../../agent/api/ironic.ts';
import { findQemuMachine } from '../../arch/qemu.ts';
import { buildRamdisk } from '../../builder/build.ts';
import { openHost } from '../../builder/host/system.ts';
import { qemuTools } from '../../builder/tools.ts';
import { createProgress } from '../../cli/progress.ts';
import { chooseAcceleration } from '../../machine/acceleration.ts';
import { bootArguments } from '../../machine/boot.ts';
import { ownedCommand } from '../../machine/owned.ts';
import { freePorts } from '../../machine/ports.ts';
import { systemRun, systemStart } from '../../system/run.ts';
import { type FakeIronic, NODE_UUID, startFakeIronic, TOKEN } from '../fakes/ironic.ts';
import { type ImageServer, startImageServer } from '../fakes/image-server.ts';
import { callAgent } from '../lab/agent-call.ts';
import { sha256 } from '../agent/image/delivery.ts';

// What only a real kernel and real firmware can show of what comes after the bytes: partition tables, file systems, mounts and boot
// entries. The partition image is a file system whose operating system is the ramdisk once more, as one EFI program: when that
// one has been started from the disk, it reports to the same Ironic.

const MIB = 2 ** 20;
const controller = new AbortController();
const { signal } = controller;
const progress = createProgress('lines', { write: (text) => process.stdout.write(text) });

let folder: string;
let ironic: FakeIronic;
let image: ImageServer;
let content: Buffer;
let beat: Heartbeat;
/** Resolves when the machine that runs has ended. */
let running: Promise<unknown>;
let start: (fromDisk: boolean) => Promise<void>;
const cleanup: (() => unknown)[] = [];

const call = (path: string, body?: object) => callAgent(beat, path, body);

async function command(name: string, params: object = {}): Promise<CommandResult> {
  const result = (await call('/v1/commands/?wait=true', { name, params })) as CommandResult;
  expect(result.command_error).toBeNull();
  return result;
}

const node = (serial: string) => ({
  uuid: NODE_UUID,
  instance_info: {},
  properties: { root_device: { serial }, capabilities: 'boot_mode:uefi' },
});

function deploy(serial: string, bytes: Buffer, more: object, configdrive: string): Promise<CommandResult> {
  content = bytes;
  const info = {
    id: 'image',
    urls: [image.url.replace('127.0.0.1', '10.0.2.2')],
    disk_format: 'raw',
    os_hash_algo: 'sha256',
    os_hash_value: sha256(bytes),
    ...more,
  };
  const step = { step: 'write_image', interface: 'deploy', args: { image_info: info, configdrive } };
  return command('deploy.execute_deploy_step', { step, node: node(serial), ports: [] });
}

async function makeConfigDrive(): Promise<{ iso: Buffer; packed: string }> {
  const tree = join(folder, 'drive', 'openstack', 'latest');
  await mkdir(tree, { recursive: true });
  await writeFile(join(tree, 'meta_data.json'), '{"hostname": "from-the-drive"}');
  const path = join(folder, 'drive.iso');
  await systemRun('xorriso', ['-as', 'mkisofs', '-quiet', '-R', '-V', 'config-2', '-o', path, join(folder, 'drive')]);
  const iso = await readFile(path);
  return { iso, packed: gzipSync(iso).toString('base64') };
}

/** A root with a boot loader in /boot/efi, which a CSV file names; there is none by the name that firmware looks for by itself. */
async function makeRootImage(efi: string): Promise<Buffer> {
  const loader = join(folder, 'root', 'boot', 'efi', 'EFI', 'ingot');
  await mkdir(loader, { recursive: true });
  await copyFile(efi, join(loader, 'ingot.efi'));
  const csv = Buffer.from('\uFEFFingot.efi,Ingot from the disk,,a test\r\n', 'utf16le');
  await writeFile(join(loader, 'BOOTX64.CSV'), csv);
  await mkdir(join(folder, 'root', 'etc'));
  await writeFile(join(folder, 'root', 'etc', 'fstab'), 'LABEL=the-root / ext4 defaults 0 1\n');
  const path = join(folder, 'root.ext4');
  const words = ['-q', '-F', '-t', 'ext4', '-b', '4096', '-L', 'the-root', '-d', join(folder, 'root'), path, '96M'];
  await systemRun('mke2fs', words);
  return readFile(path);
}

/** A whole-disk image with an MBR and a file system. */
async function makeMbrImage(): Promise<Buffer> {
  const path = join(folder, 'mbr.raw');
  await writeFile(path, '');
  await truncate(path, 16 * MIB);
  await systemRun('sfdisk', ['--quiet', path], { input: 'label: dos\nlabel-id: 0x5f3e0c11\n2048,16384,83,*\n' });
  await systemRun('mke2fs', ['-q', '-F', '-t', 'ext4', '-E', `offset=${MIB}`, path, '8M']);
  return readFile(path);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-live-partitions-'));
  const host = await openHost({});
  const ramdisk = join(folder, 'ramdisk');
  const [agentPort = 0] = await freePorts(1);
  ironic = await startFakeIronic();
  image = await startImageServer(() => ({ content }));
  cleanup.push(
    () => ironic.close(),
    () => image.close(),
  );
  // It is asked twice, by two agents that know nothing of each other.
  ironic.override = ({ path }) =>
    path === '/v1/lookup'
      ? { status: 200, body: { node: node('none'), config: { heartbeat_timeout: 300, agent_token: TOKEN } } }
      : undefined;
  const machine = findQemuMachine('x86_64');
  if (machine === undefined) throw new Error('no such machine');
  const append = [
    `ipa-api-url=${ironic.url.replace('127.0.0.1', '10.0.2.2')}`,
    // The UKI is told nothing by QEMU: what a kernel in it has to know goes in.
    `ipa-advertise-host=127.0.0.1 ipa-advertise-port=${agentPort} ${machine.parameters.join(' ')}`,
  ].join(' ');
  await buildRamdisk({
    host,
    arch: 'x86_64',
    compress: 'zstd:3',
    formats: ['uki'],
    append,
    output: ramdisk,
    progress,
    signal,
  });
  const tools = await qemuTools(host, machine, { progress, signal });
  const probe = { tools, machine, start: systemStart, signal };
  const { acceleration } = await chooseAcceleration(`${ramdisk}.kernel`, host.cache, probe);
  const disks = [
    { path: join(folder, 'sectors-4096.raw'), kind: 'virtio' as const, serial: 'LAB-4096' },
    { path: join(folder, 'mbr-disk.raw'), kind: 'nvme' as const, serial: 'LAB-MBR' },
  ];
  for (const { path } of disks) {
    await writeFile(path, '');
    await truncate(path, 5 * 2 ** 30);
  }
  const variables = join(folder, 'variables.fd');
  await copyFile(tools.path(machine.firmware.variables), variables);
  const args = bootArguments(
    { machine, tools, acceleration },
    { kernel: `${ramdisk}.kernel`, initramfs: `${ramdisk}.initramfs`, append },
    { cpus: 2, memoryMiB: 1024, disks, forwards: [{ host: agentPort, guest: 9999 }], uefi: true },
    false,
  ).map((arg) =>
    arg.includes(',snapshot=on')
      ? `if=pflash,unit=1,format=raw,file=${variables}`
      : arg.replace('serial=LAB-4096', 'serial=LAB-4096,logical_block_size=4096,physical_block_size=4096'),
  );
  const log = await open(join(folder, 'console.log'), 'w');
  cleanup.push(() => log.close());
  start = async (fromDisk) => {
    const at = args.indexOf('-kernel');
    const words = fromDisk ? [...args.slice(0, at), ...args.slice(at + 6)] : args;
    const { file, args: all, env } = tools.command(machine.program, words);
    const owned = ownedCommand(file, all);
    const first = ironic.next(({ path }) => path.startsWith('/v1/heartbeat/'));
    const child = systemStart(owned.file, owned.args, { env, stdio: ['ignore', log.fd, log.fd] });
    const ended = new Promise((resolve) => child.once('close', resolve));
    cleanup.push(() => child.kill('SIGKILL'));
    beat = (await first).body as Heartbeat;
    running = ended;
  };
  await start(false);
});

afterAll(async () => {
  controller.abort();
  for (const undo of cleanup.toReversed()) await undo();
  await rm(folder, { recursive: true, force: true });
});

test('a config drive is added to the MBR that an image brings', async () => {
  const { iso, packed } = await makeConfigDrive();
  const result = await deploy('LAB-MBR', await makeMbrImage(), {}, packed);
  expect(result.command_result).toMatchObject({
    deploy_result: { result: 'prepare_image: image (image) written to device /dev/nvme0n1 root_uuid=0x5f3e0c11' },
  });
  await command('standby.sync');
  const path = join(folder, 'mbr-disk.raw');
  const { stdout } = await systemRun('sfdisk', ['--json', path]);
  const { partitiontable } = JSON.parse(stdout) as {
    partitiontable: { partitions: { start: number; size: number; type: string }[] };
  };
  const [first, drive] = partitiontable.partitions;
  expect([first?.start, first?.size, drive?.type, drive?.size]).toEqual([2048, 16_384, 'c', (64 * MIB) / 512]);
  const bytes = Buffer.alloc(iso.length);
  const disk = await open(path);
  await disk.read(bytes, 0, bytes.length, (drive?.start ?? 0) * 512);
  await disk.close();
  expect(bytes.equals(iso)).toBe(true);
});

test('a partition image with swap, ephemeral partition and config drive starts by UEFI from a disk with sectors of 4096 bytes', async () => {
  const { packed } = await makeConfigDrive();
  const root = await makeRootImage(join(folder, 'ramdisk.efi'));
  const sizes = { root_mb: 200, swap_mb: 32, ephemeral_mb: 64, ephemeral_format: 'ext4', preserve_ephemeral: false };
  const info = { image_type: 'partition', deploy_boot_mode: 'uefi', ...sizes };
  await deploy('LAB-4096', root, info, packed);
  const { command_result: uuids } = await command('standby.get_partition_uuids');
  expect(uuids).toMatchObject({
    partitions: {
      'efi system partition': '/dev/vda1',
      ephemeral: '/dev/vda2',
      swap: '/dev/vda3',
      configdrive: '/dev/vda4',
      root: '/dev/vda5',
    },
  });
  const found = uuids as { 'root uuid': string; 'efi system partition uuid': string };
  await command('image.install_bootloader', {
    root_uuid: found['root uuid'],
    efi_system_part_uuid: found['efi system partition uuid'],
    target_boot_mode: 'uefi',
  });
  // The machine may be gone before it has answered.
  await call('/v1/commands/?wait=false', { name: 'standby.run_image', params: {} }).catch(() => undefined);
  await running;

  await start(true);
  const { command_result: logs } = await command('log.collect_system_logs');
  const archive = join(folder, 'logs.tar.gz');
  await writeFile(archive, gunzipSync(Buffer.from((logs as { system_logs: string }).system_logs, 'base64')));
  const read = async (name: string) => (await systemRun('tar', ['-xOf', archive, name])).stdout;
  expect(await read('efibootmgr')).toMatch(/^Boot\w{4}\* Ingot from the disk\tHD\(1,GPT,/m);
  const udev = async (name: string) => JSON.parse(await read(`udev/${name}`)) as Record<string, string>;
  const labels = await Promise.all(['vda1', 'vda2', 'vda3', 'vda4', 'vda5'].map(async (name) => await udev(name)));
  expect(labels.map((one) => [one['ID_FS_TYPE'], one['ID_FS_LABEL']])).toEqual([
    ['vfat', 'efi-part'],
    ['ext4', 'ephemeral0'],
    ['swap', 'swap1'],
    ['vfat', 'CONFIG-2'],
    ['ext4', 'the-root'],
  ]);
});
