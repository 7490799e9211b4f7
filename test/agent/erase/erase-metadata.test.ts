import { afterEach, describe, expect, test } from 'vitest';

import { openChain } from '../../../agent/erase/chain.ts';
import { eraseDevicesMetadata as erase, type MetadataOptions } from '../../../agent/erase/erase-metadata.ts';
import type { Node } from '../../../agent/api/command.ts';
import type { AgentOs, BlockDevice } from '../../../agent/os/door.ts';
import { canonicalJson } from '../../../evidence/canonical.ts';
import { judgeEvidence } from '../../../evidence/judge.ts';
import { type DiskFile, makeDiskFile, sparseFile } from '../../fakes/disk-file.ts';
import { fixture, machineOs } from '../../fakes/machine.ts';

const MIB = 1024 ** 2;
const disks: DiskFile[] = [];
afterEach(async () => {
  for (const disk of disks.splice(0)) await disk.close();
});

/** A disk as large as lsblk says, of which a file of 4 MiB has the ends; what is between them is not looked at. */
function asLargeAs(machine: string, path: string, device: BlockDevice): BlockDevice {
  const { blockdevices } = JSON.parse(fixture(machine, 'lsblk.json')) as {
    blockdevices: { kname: string; size: number }[];
  };
  const sizeBytes = blockdevices.find(({ kname }) => `/dev/${kname}` === path)?.size ?? 0;
  const place = (position: number) =>
    sizeBytes - position <= 2 * MIB ? position - sizeBytes + device.sizeBytes : Math.min(position, MIB);
  return {
    ...device,
    path,
    sizeBytes,
    read: (buffer, position) => device.read(buffer, place(position)),
    readBack: (buffer, position) => device.readBack(buffer, place(position)),
    write: (buffer, position) => device.write(buffer, place(position)),
    zero: (position, length) => device.zero(place(position), length),
  };
}

/** A q35 machine whose disks are files; programs that change disks are only recorded. */
async function q35(): Promise<{ os: AgentOs & { calls: string[] }; files: Map<string, DiskFile> }> {
  const files = new Map<string, DiskFile>();
  for (const path of ['/dev/sda1', '/dev/sda', '/dev/vda', '/dev/nvme0n1']) {
    const disk = await makeDiskFile(4 * MIB);
    disks.push(disk);
    files.set(path, disk);
  }
  const os = machineOs('qemu-q35', {
    run: async () => ({ stdout: '', stderr: '', exitCode: 0 }),
    openDevice: async (path) => {
      const disk = files.get(path);
      if (!disk) throw new Error(`no such device ${path}`);
      return { ...asLargeAs('qemu-q35', path, disk.device), close: async () => undefined };
    },
  });
  return { os, files };
}

const guard = { guardSpecialFilesystems: true, guardContents: [], guardRemovable: true };
const quiet = {
  guard,
  args: {},
  machine: { serial: null, vendor: null, product: null },
  signal: new AbortController().signal,
  progress: () => undefined,
  log: () => undefined,
};
const eraseDevicesMetadata = async (os: AgentOs, node: Node, options: Omit<MetadataOptions, 'chain'>) => {
  const chain = openChain(os.files);
  return erase(os, node, { ...options, chain: () => chain });
};

describe('erase_devices_metadata', () => {
  test('wipes every disk and has the kernel look at each anew', async () => {
    const { os, files } = await q35();
    await eraseDevicesMetadata(os, { uuid: 'u' }, quiet);
    for (const disk of files.values())
      expect((await disk.content()).subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true);
    const changes = os.calls.filter((call) => /^(?:wipefs|blockdev --reread)/.test(call));
    expect(changes).toEqual([
      'wipefs --force --all /dev/sda1',
      'wipefs --force --all /dev/sda',
      'blockdev --rereadpt /dev/sda',
      'wipefs --force --all /dev/vda',
      'blockdev --rereadpt /dev/vda',
      'wipefs --force --all /dev/nvme0n1',
      'blockdev --rereadpt /dev/nvme0n1',
    ]);
  });

  test('proves what it did, and claims no more than that', async () => {
    const { os } = await q35();
    const node = { uuid: 'u', driver_internal_info: { ingot_evidence_nonce: 'n0nce', disk_erasure_concurrency: 'x' } };
    const result = await eraseDevicesMetadata(os, node, quiet);
    expect(Object.keys(result)).toEqual(['/dev/sda', '/dev/vda', '/dev/nvme0n1']);
    const lines = Object.values(result).map((envelope) => `${canonicalJson(envelope)}\n`);
    const { faults, records } = judgeEvidence(lines.join(''), { nonce: 'n0nce' });
    expect(faults).toEqual([]);
    for (const record of records)
      expect(record).toMatchObject({
        step: 'erase_devices_metadata',
        result: 'erased',
        category: 'none',
        category_why: 'partition tables and signatures are gone; the data is not',
        verification: { expectation: 'ends-zero', wrong: 0, canaries: false },
      });
    expect(records[0]?.attempts[0]?.commands.map(({ command }) => command)).toEqual([
      'wipefs --force --all /dev/sda1',
      'wipefs --force --all /dev/sda',
      'blockdev --flushbufs /dev/sda',
    ]);
  });

  test('never touches a disk of skip_block_devices', async () => {
    const { os, files } = await q35();
    await eraseDevicesMetadata(os, { uuid: 'u', properties: { skip_block_devices: [{ serial: 'NVME-1' }] } }, quiet);
    const kept = files.get('/dev/nvme0n1');
    expect((await kept?.content())?.equals(kept?.before ?? Buffer.alloc(0))).toBe(true);
    expect(os.calls.filter((call) => call.includes('nvme0n1') && !call.startsWith('udevadm'))).toEqual([]);
  });

  test('leaves a disk alone, with all its partitions, while one of them is mounted or shared', async () => {
    for (const change of [{ mountpoint: '/mnt' }, { fstype: 'gfs2' }]) {
      const { os, files } = await q35();
      const { blockdevices } = JSON.parse(fixture('qemu-q35', 'lsblk.json')) as { blockdevices: { kname: string }[] };
      const first = blockdevices.find(({ kname }) => kname === 'sda1');
      const stdout = JSON.stringify({ blockdevices: [...blockdevices, { ...first, kname: 'sda2', ...change }] });
      const run: AgentOs['run'] = (file, args, options) =>
        file === 'lsblk' ? Promise.resolve({ stdout, stderr: '', exitCode: 0 }) : os.run(file, args, options);
      const work = eraseDevicesMetadata({ ...os, run }, { uuid: 'u' }, quiet);
      await expect(work).rejects.toThrow('cannot change /dev/sda: /dev/sda2');
      expect(os.calls.filter((call) => call.startsWith('wipefs'))).toEqual([
        'wipefs --force --all /dev/vda',
        'wipefs --force --all /dev/nvme0n1',
      ]);
      const kept = files.get('/dev/sda1');
      expect((await kept?.content())?.equals(kept?.before ?? Buffer.alloc(0))).toBe(true);
    }
  });

  test('wipes a disk with several paths once, and what the guard keeps not at all', async () => {
    const wiped = async (machine: string, change: Partial<typeof guard> = {}) => {
      const os = machineOs(machine, {
        run: async () => ({ stdout: '', stderr: '', exitCode: 0 }),
        openDevice: async (path) => {
          const disk = await sparseFile(4 * MIB);
          return { ...asLargeAs(machine, path, disk.device), close: disk.close };
        },
      });
      const work = eraseDevicesMetadata(os, { uuid: 'u' }, { ...quiet, guard: { ...guard, ...change } });
      const error = (await work.catch((reason: unknown) => reason)) as { details?: string } | undefined;
      const names = os.calls.filter((call) => call.startsWith('wipefs')).map((call) => call.split('/').at(-1));
      return { names, error: error?.details };
    };
    expect(await wiped('san-server')).toEqual({
      names: ['dm-2', 'dm-1', 'dm-0', 'sdh', 'sdg', 'sde'],
      error: undefined,
    });
    const idrac = await wiped('idrac-server');
    expect(idrac.names).toEqual(['sda', 'nvme0n2', 'nvme0n1']);
    // What the BMC plays is no failure; a card that may be a tenant's is one.
    expect(idrac.error).toMatch(/^cannot change \/dev\/sdd: \/dev\/sdd is removable; [^;]*removable=false$/);
    const all = await wiped('idrac-server', { guardRemovable: false });
    expect(all).toEqual({ names: ['sdd', 'sda', 'nvme0n2', 'nvme0n1'], error: undefined });
  });

  test('goes on after a disk that fails, and names every one that did', async () => {
    const { os, files } = await q35();
    const openDevice: AgentOs['openDevice'] = async (path, mode) => {
      if (path === '/dev/vda' && mode === 'write') throw new Error('EIO');
      return os.openDevice(path, mode);
    };
    const work = eraseDevicesMetadata({ ...os, openDevice }, { uuid: 'u' }, quiet);
    await expect(work).rejects.toMatchObject({
      type: 'BlockDeviceEraseError',
      details: 'cannot erase the metadata of /dev/vda: EIO',
      result: {
        '/dev/vda': { record: { result: 'failed', category: 'none' } },
        '/dev/nvme0n1': { record: { result: 'erased' } },
      },
    });
    expect((await files.get('/dev/nvme0n1')?.content())?.subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true);
  });
});
