import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { COMMANDS } from '../../../agent/commands/table.ts';
import type { AgentDeps } from '../../../agent/commands/deps.ts';
import { makeConfig } from '../../../agent/config/config.ts';
import { createRunner } from '../../../agent/engine/runner.ts';
import { systemRun } from '../../../system/run.ts';
import { type ImageServer, startImageServer } from '../../fakes/image-server.ts';
import { lyingDisk } from '../../fakes/lying-disk.ts';
import { makeQcow2 } from '../../fakes/qcow2.ts';
import { BLOCK, makeDiskImage, TwoDisks } from '../../fakes/two-disks.ts';
import { sha256 } from '../image/delivery.ts';

const MIB = 1024 ** 2;
const iso = Buffer.alloc(40 * 2048);
iso.write('\u0001CD001\u0001', 0x80_00, 'latin1');
const CONFIG_DRIVE = gzipSync(iso).toString('base64');

const image = await makeDiskImage();
const qcow2 = makeQcow2({ guest: image, clusterBits: 16, version: 3, compression: 'zlib', compressed: 0.5, seed: 11 });
const INFO = { id: 'debian', disk_format: 'qcow2', os_hash_algo: 'sha256', os_hash_value: sha256(qcow2) };
const ROOT = { uuid: 'node', properties: { root_device: { serial: 'ROOT' } } };

let machine: TwoDisks;
let server: ImageServer;

beforeEach(async () => {
  machine = new TwoDisks();
  await machine.start();
  server = await startImageServer(() => ({ content: qcow2 }));
});
afterEach(async () => {
  await server.close();
  await machine.stop();
});

function runnerFor(
  node: AgentDeps['node']['current'],
  refreshed?: AgentDeps['node']['current'],
  parameters: Readonly<Record<string, string>> = {},
  os = machine.os(),
) {
  const deps: AgentDeps = {
    os,
    config: makeConfig(new Map(Object.entries({ 'ipa-image-download-connection-retries': '0', ...parameters }))),
    node: { current: node },
    inventory: () => Promise.reject(new Error('not here')),
    refreshNode: async () => refreshed,
    recentLog: () => [],
  };
  const runner = createRunner({ commands: COMMANDS, deps, signal: new AbortController().signal, log: () => undefined });
  return (name: string, params: Record<string, unknown>) => runner.execute(name, params, true);
}

const step = (args: Record<string, unknown>, node: Record<string, unknown> = ROOT) => ({
  step: { step: 'write_image', interface: 'deploy', args },
  node,
  ports: [],
});

describe('write_image', () => {
  test(
    'writes the image to the disk that the hints name, and a config drive behind it',
    { timeout: 120_000 },
    async () => {
      await machine.stop();
      await machine.start(80 * MIB);
      const execute = runnerFor(undefined);
      const result = await execute(
        'deploy.execute_deploy_step',
        step({ image_info: { ...INFO, urls: [server.url] }, configdrive: CONFIG_DRIVE }),
      );
      expect(result.command_error).toBeNull();
      expect(result.command_result).toMatchObject({
        deploy_result: { result: 'prepare_image: image (debian) written to device /dev/vda root_uuid=0x00000000' },
      });
      const content = await machine.disk('/dev/vda').content();
      // All but the two tables, which sgdisk changed, is the image.
      expect(content.subarray(MIB, 7 * MIB).equals(image.subarray(MIB, 7 * MIB))).toBe(true);
      expect((await systemRun('sgdisk', ['-v', machine.disk('/dev/vda').path])).stdout).toContain('No problems found');
      expect(machine.partitions.map(({ kname }) => kname)).toEqual(['vda1', 'vda2', 'vda3']);
      expect((await machine.disk('/dev/vda3').content()).subarray(0, iso.length).equals(iso)).toBe(true);
      const spare = machine.disk('/dev/sda');
      expect((await spare.content()).equals(spare.before)).toBe(true);
      expect((await execute('standby.get_partition_uuids', {})).command_result).toEqual({ 'root uuid': '0x00000000' });
    },
  );

  /** Takes what belongs into the middle of the image, and keeps nothing of it. */
  const forgetful = () => {
    const os = machine.os();
    const openDevice: typeof os.openDevice = async (path, mode) =>
      lyingDisk(await os.openDevice(path, mode), (buffer, position) =>
        position <= 4 * MIB && position + buffer.length > 4 * MIB ? undefined : buffer,
      );
    return { ...os, openDevice };
  };

  test.each([
    ['a kernel parameter', { 'ingot-image-verify': 'full' }, {}, 'cannot trust /dev/vda'],
    ['image_info, which counts before it', { 'ingot-image-verify': 'none' }, { verify: 'full' }, 'cannot trust'],
    ['image_info that wants nothing read back', { 'ingot-image-verify': 'full' }, { verify: 'none' }, 'it was written'],
    ['a word that is no level', {}, { verify: 'most' }, 'only none, sample, full are known'],
  ])('reads back as much as %s says', async (_, parameters, info, why) => {
    const execute = runnerFor(ROOT, undefined, parameters, forgetful());
    const image_info = { ...INFO, urls: [server.url], ...info };
    const { command_status, command_error } = await execute('deploy.execute_deploy_step', step({ image_info }));
    expect(command_status === 'SUCCEEDED' ? 'it was written' : command_error?.details).toContain(why);
  });

  test('asks Ironic for hints when the node has none, before it chooses a disk', async () => {
    const execute = runnerFor(undefined, ROOT);
    const result = await execute('standby.prepare_image', { image_info: { ...INFO, urls: [server.url] } });
    expect(result.command_result).toEqual({
      result: 'prepare_image: image (debian) written to device /dev/vda root_uuid=0x00000000',
    });
  });

  test.each<[string, () => Record<string, unknown>, Record<string, unknown>, string]>([
    ['two disks match', () => ({}), { uuid: 'n', properties: { root_device: { size: '> 100' } } }, '2 disks match'],
    ['no disk matches', () => ({}), { uuid: 'n', properties: { root_device: { serial: 'X' } } }, 'none matches'],
    ['the config drive is none', () => ({ configdrive: 'bm9uZQ==' }), ROOT, 'no base64 of gzip'],
    ['the checksum is no checksum', () => ({ os_hash_value: 'zz' }), ROOT, 'no checksum'],
    ['a partition image has no size', () => ({ image_type: 'partition' }), ROOT, 'a partition image needs root_gb'],
    ['there is no URL', () => ({ urls: [] }), ROOT, 'cannot use image_info: /urls'],
    ['the format is another', () => ({ disk_format: 'raw' }), ROOT, 'the file is qcow2'],
  ])('touches no disk when %s', async (_, info, node, why) => {
    const result = await runnerFor(undefined)(
      'deploy.execute_deploy_step',
      step({ image_info: { ...INFO, urls: [server.url], ...info() } }, node),
    );
    expect(result.command_status).toBe('FAILED');
    expect(result.command_error?.details).toContain(why);
    for (const disk of machine.disks.values()) expect((await disk.content()).equals(disk.before)).toBe(true);
  });

  test('refuses a disk of which something is mounted', async () => {
    machine.partitions = [{ ...BLOCK, kname: 'vda1', pkname: 'vda', type: 'part', mountpoint: '/mnt' }];
    const result = await runnerFor(undefined)(
      'deploy.execute_deploy_step',
      step({ image_info: { ...INFO, urls: [server.url] } }),
    );
    expect(result.command_error).toMatchObject({ type: 'ProtectedDeviceError' });
    expect((await machine.disk('/dev/vda').content()).equals(machine.disk('/dev/vda').before)).toBe(true);
  });

  test('bad parameters of prepare_image are refused before anything starts', async () => {
    await expect(
      runnerFor(ROOT)('standby.prepare_image', { image_info: { id: 'x', urls: [server.url] } }),
    ).rejects.toMatchObject({
      type: 'InvalidCommandParamsError',
      code: 400,
    });
  });
});

describe('the tables of commands and steps', () => {
  test('offer what this agent does, with Ironic’s priorities', async () => {
    const execute = runnerFor(undefined);
    const lists = await Promise.all(
      ['clean', 'deploy', 'service'].map(async (kind) => {
        const result = await execute(`${kind}.get_${kind}_steps`, { node: ROOT, ports: [] });
        const steps = result.command_result as Record<
          string,
          { GenericHardwareManager: { step: string; priority: number }[] }
        >;
        return steps[`${kind}_steps`]?.GenericHardwareManager.map((one) => `${one.step} ${one.priority}`);
      }),
    );
    // What Ironic runs of its own accord; everything else is only there to be asked for.
    const automatic = lists.map((steps) => steps?.filter((step) => !step.endsWith(' 0')));
    expect(automatic).toEqual([['erase_devices_metadata 99', 'erase_devices 10'], [], []]);
    const [clean, deploy, service] = lists;
    expect(clean).toEqual(expect.arrayContaining(['erase_pstore 0', 'clean_uefi_nvram 0', 'burnin_disk 0']));
    expect(deploy).toEqual(expect.arrayContaining(['erase_devices_metadata 0', 'clean_uefi_nvram 0', 'write_image 0']));
    expect(service).toEqual(
      expect.arrayContaining(['burnin_cpu 0', 'burnin_memory 0', 'burnin_network 0', 'write_image 0']),
    );
    expect(service).not.toContain('burnin_disk 0');
  });

  test('have no name twice', () => {
    const names = COMMANDS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test('get_partition_uuids is empty before an image was written', async () => {
    expect((await runnerFor(undefined)('standby.get_partition_uuids', {})).command_result).toEqual({});
  });
});

describe('install_bootloader', () => {
  test('has nothing to do for a whole-disk image on a BIOS machine', async () => {
    const result = await runnerFor(ROOT)('image.install_bootloader', {
      root_uuid: '0x00000000',
      target_boot_mode: 'bios',
    });
    expect(result).toMatchObject({ command_status: 'SUCCEEDED', command_result: null });
  });

  test('says that it does not install GRUB, unless that is to be ignored', async () => {
    const execute = runnerFor(ROOT);
    const params = { root_uuid: '5f3e0c11-aaaa', target_boot_mode: 'bios' };
    expect((await execute('image.install_bootloader', params)).command_error).toMatchObject({ type: 'InvalidImage' });
    const ignored = await execute('image.install_bootloader', { ...params, ignore_bootloader_failure: true });
    expect(ignored.command_status).toBe('SUCCEEDED');
  });
});
