import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { describe, expect, test } from 'vitest';

import { type Block, parseLsblk } from '../../../agent/hardware/lsblk.ts';
import { assembleArrays } from '../../../agent/hardware/md.ts';
import { rootCandidates, rootVolume } from '../../../agent/hardware/root-volume.ts';
import { readStorage } from '../../../agent/hardware/disks.ts';
import { listArrays, type MdArray, parseExport } from '../../../agent/raid/arrays.ts';
import { chooseDisks } from '../../../agent/raid/choose-disks.ts';
import type { LogicalDisk } from '../../../agent/raid/config.ts';
import { membersOf } from '../../../agent/raid/create.ts';
import type { CreationPreview } from '../../../agent/raid/preview.ts';
import { fatesOf, readSkipList } from '../../../agent/raid/skip-list.ts';
import { fakeOs, fakeRun, memoryFiles } from '../../fakes/agent-os.ts';
import { fixture, machineOs } from '../../fakes/machine.ts';

const SERVER = 'rack-server-12-disks';
const server = parseLsblk(fixture(SERVER, 'lsblk.json'));

/** Recorded: test/fixtures/mdadm/README.md. */
const read = (name: string) => JSON.parse(readFileSync(`test/fixtures/mdadm/${name}`, 'utf8')) as unknown;
const RECORDED = read('four-arrays.json') as Record<string, { stdout: string; stderr: string; exit_code: number }>;
const PLAN = read('four-arrays.plan.json') as CreationPreview;
const answers = Object.fromEntries(
  Object.entries(RECORDED).flatMap(([command, { stdout, exit_code }]) => (exit_code === 0 ? [[command, stdout]] : [])),
);
const DETAIL = answers['mdadm --detail --export /dev/md0'] ?? '';

describe('arrays of a machine', () => {
  test('are those of the dry run before they were made: devices, names, levels, and members in their order', async () => {
    const slaves = PLAN.arrays.flatMap(({ device, members }) =>
      members.map((member) => [`/sys/block/${basename(device)}/slaves/${basename(member)}/size`, '1'] as const),
    );
    const os = fakeOs({ run: fakeRun(answers), files: memoryFiles(Object.fromEntries(slaves)) });
    // Recorded without the columns that are not asked for here.
    const lsblk = answers['lsblk -bia --json -oKNAME,PKNAME,TYPE,FSTYPE,SIZE,UUID'] ?? '';
    const { blockdevices: blocks } = JSON.parse(lsblk) as { blockdevices: Block[] };
    const there = await listArrays(os, blocks);
    expect(there.map(({ device, name }) => [device, name])).toEqual(
      PLAN.arrays.map(({ device, name }) => [device, name]),
    );
    for (const { disks } of there) expect(disks).toEqual(['/dev/nvme0n1', '/dev/vda', '/dev/vdb', '/dev/vdc']);
    for (const { device, level, members } of PLAN.arrays) {
      const facts = parseExport(answers[`mdadm --detail --export ${device}`] ?? '');
      expect(facts.get('MD_LEVEL')).toBe(`raid${level}`);
      const roles = members.map((member) => facts.get(`MD_DEVICE_dev_${basename(member)}_ROLE`));
      expect(roles).toEqual(['0', '1', '2', '3']);
      const have = Number(blocks.find(({ kname }) => kname === basename(device))?.size);
      // One GiB was asked for, and what is left for RAID 0.
      expect(have).toBeGreaterThanOrEqual(2 ** 30);
    }
  });

  test('have the names that their members say, too', () => {
    for (const { name, members } of PLAN.arrays)
      for (const member of members)
        expect(parseExport(answers[`mdadm --examine --export ${member}`] ?? '').get('MD_NAME')).toBe(`any:${name}`);
  });
});

describe('arrays that are there', () => {
  const files = memoryFiles({
    '/sys/block/sdi/size': '1',
    '/sys/block/md127/slaves/sdj1/size': '1',
    '/sys/block/md127/slaves/sdi1/size': '1',
    '/sys/block/md9/size': '0',
  });

  test('are known by their members and the disks under these, with their names; what was stopped is none', async () => {
    const run = fakeRun({ 'mdadm --detail --export /dev/md127': DETAIL });
    expect(await listArrays(fakeOs({ run, files }), server)).toEqual([
      { device: '/dev/md127', name: 'ten', members: ['/dev/sdi1', '/dev/sdj1'], disks: ['/dev/sdi', '/dev/sdj'] },
    ]);
  });

  test('and do not run have the names that their members say', async () => {
    const run = fakeRun({
      'mdadm --detail --export /dev/md127': 'MD_LEVEL=inactive\n',
      'mdadm --examine --export /dev/sdi1': 'MD_LEVEL=raid1\nMD_NAME=rack-1:data\n',
    });
    expect((await listArrays(fakeOs({ run, files }), server))[0]?.name).toBe('data');
  });

  test('have the members that mdadm lists', () => {
    expect(membersOf(DETAIL)).toEqual(['/dev/nvme0n1p1', '/dev/vdc1', '/dev/vdb1', '/dev/vda1']);
  });

  test('are started reading only; a ramdisk without mdadm says how to get it', async () => {
    const start = '/sys/module/md_mod/parameters/start_ro';
    const md = memoryFiles({ [start]: '0' });
    await assembleArrays(fakeOs({ run: fakeRun({ 'mdadm --assemble --scan': '' }), files: md }));
    expect(md.all.get(start)).toBe('1');
    await expect(assembleArrays(fakeOs())).rejects.toMatchObject({
      type: 'SoftwareRAIDError',
      details: 'cannot do software RAID: mdadm is not in this ramdisk; build it with the element software-raid',
    });
  });
});

describe('what skip_block_devices keeps', () => {
  const array = (device: string, name: string, disks: string[]): MdArray => ({
    device,
    name,
    disks,
    members: disks.map((disk) => `${disk}1`),
  });
  const arrays = [
    array('/dev/md0', 'root', ['/dev/sda', '/dev/sdb']),
    array('/dev/md1', 'data', ['/dev/sda', '/dev/sdb']),
    array('/dev/md2', 'esp', ['/dev/sda', '/dev/sdb']),
    array('/dev/md3', 'other', ['/dev/sdc', '/dev/sdd']),
  ];
  const fates = (names: string[], disks: string[]) =>
    fatesOf(arrays, { names: new Set(names), disks: new Set(disks) }).map(
      ({ array: { name }, fate }) => `${name}: ${fate}`,
    );

  test('is nothing, an array with its neighbours’ places and its mirror of the ESP, or all on a disk', () => {
    expect(fates([], [])).toEqual(['root: delete', 'data: delete', 'esp: delete', 'other: delete']);
    expect(fates(['data'], [])).toEqual(['root: wipe', 'data: keep', 'esp: keep', 'other: delete']);
    expect(fates([], ['/dev/sdc'])).toEqual(['root: delete', 'data: delete', 'esp: delete', 'other: keep']);
    expect(fates(['data'], ['/dev/sdb'])).toEqual(['root: keep', 'data: keep', 'esp: keep', 'other: delete']);
  });

  test('is read apart: names of arrays, and hints for disks', async () => {
    const { disks } = await readStorage(machineOs('qemu-q35'));
    const skip_block_devices = [{ volume_name: 'data' }, { name: '/dev/vda' }];
    const list = readSkipList({ uuid: 'u', properties: { skip_block_devices } }, disks);
    expect([...list.names]).toEqual(['data']);
    expect([...list.disks]).toEqual(['/dev/vda']);
    const read = (value: unknown) => readSkipList({ uuid: 'u', properties: { skip_block_devices: value } }, disks);
    expect(() => read('sda')).toThrow(/no list/);
    // As an erase reads it: what that keeps must not be deleted.
    expect([...read([{ volume_name: ' data ' }]).names]).toEqual(['data']);
    expect(() => read([{ volume_name: 7 }])).toThrow('no text');
    expect(() => read([{ volume_name: 'data', serial: 'x' }])).toThrow('stands alone');
  });
});

describe('the disks of an array', () => {
  const wanted = (physicalDisks: LogicalDisk['physicalDisks']): LogicalDisk[] => [
    { index: 0, level: '1', sizeGib: 'MAX', volumeName: 'root', isRootVolume: false, physicalDisks },
  ];

  test('are one for each hint, in the order of the hints, none twice; all of them without hints', async () => {
    const { disks } = await readStorage(machineOs('qemu-q35'));
    const names = (hints: LogicalDisk['physicalDisks']) => chooseDisks(wanted(hints), disks)[0]?.disks;
    expect(names([{ name: '/dev/vda' }, { name: '/dev/sda' }])).toEqual(['/dev/vda', '/dev/sda']);
    expect(new Set(names([{ size: '>= 1' }, { size: '>= 1' }])).size).toBe(2);
    expect(names(undefined)).toHaveLength(3);
    const work = () => chooseDisks(wanted([{ name: '/dev/vda' }, { name: '/dev/vda' }]), disks);
    expect(work).toThrow(
      /none is left for {"name":"\/dev\/vda"} of logical disk 1\..*\/dev\/vda: it is in this array already/,
    );
  });
});

describe('the root volume', () => {
  const raid = (root: boolean | undefined, volume_name = 'root') => ({
    logical_disks: [{ controller: 'software', volume_name, ...(root !== undefined && { is_root_volume: root }) }],
  });
  const disk = (name: string, more: object = {}) => ({
    disk: { name },
    kind: 'disk',
    below: [],
    ...more,
  });
  const disks = [
    disk('/dev/sda'),
    disk('/dev/sdb'),
    disk('/dev/sdc'),
    disk('/dev/md127', {
      kind: 'array',
      volumeName: 'root',
      below: [{ kname: 'sda1' }, { kname: 'sda' }, { kname: 'sdb' }],
    }),
  ] as unknown as Parameters<typeof rootCandidates>[1];
  const volume = (node: object) => rootVolume({ uuid: 'u', ...node }, disks)?.disk.name;
  const names = (node: object) => rootCandidates({ uuid: 'u', ...node }, disks).map(({ disk: { name } }) => name);

  test('is the array that raid_config says, whatever its size', () => {
    expect(volume({ raid_config: raid(true) })).toBe('/dev/md127');
    expect(volume({ raid_config: raid(undefined) })).toBeUndefined();
    expect(volume({})).toBeUndefined();
  });

  test('that is gone is an error, unless hints say what else will do', () => {
    expect(() => volume({ raid_config: raid(true, 'old') })).toThrow(/the array "old".*\/dev\/md127 \(root\)/);
    const properties = { root_device: { name: '/dev/sdc' } };
    expect(volume({ raid_config: raid(true, 'old'), properties })).toBeUndefined();
  });

  test('is never a disk that an array stands on, or an array that is said to be none', () => {
    expect(names({})).toEqual(['/dev/sdc', '/dev/md127']);
    expect(names({ raid_config: raid(false) })).toEqual(['/dev/sdc']);
  });
});
