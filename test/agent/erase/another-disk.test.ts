import { describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { type ErasableMachine, erasableMachine, type FakeDisk } from '../../fakes/erasable-machine.ts';
import { eraseMachine } from '../../fakes/erase-run.ts';

/** The machine, and beside it what sysfs has of its first disk; `on` is told each command before it runs. */
function withSysfs(
  machine: ErasableMachine,
  sysfs: Map<string, string>,
  on: (command: string) => void = () => undefined,
): ErasableMachine {
  const { os } = machine;
  const run: AgentOs['run'] = async (program, args, options) => {
    on([program, ...args].join(' '));
    return os.run(program, args, options);
  };
  return {
    ...machine,
    os: { ...os, run, files: { ...os.files, read: async (path) => sysfs.get(path) ?? os.files.read(path) } },
  };
}

const NVME: FakeDisk = { kind: 'nvme', abilities: ['format'] };
const SATA: FakeDisk = { kind: 'sata' };
const sysfsOf = (kname: string, names: Record<string, string>) =>
  new Map(Object.entries(names).map(([name, value]) => [`/sys/class/block/${kname}/${name}`, `${value}\n`]));

describe('a disk that was plugged in where the planned one was', () => {
  test.each([
    { what: 'a number of its own', disk: SATA, kname: 'sda', before: { diskseq: '7' }, after: { diskseq: '8' } },
    {
      what: 'another WWID',
      disk: SATA,
      kname: 'sda',
      before: { diskseq: '7', 'device/wwid': 'naa.1' },
      after: { diskseq: '8', 'device/wwid': 'naa.2' },
    },
    { what: 'another serial number', disk: SATA, kname: 'sda', before: { serial: 'A' }, after: { serial: 'B' } },
  ])('is not written to: it has $what', async ({ disk, kname, before, after }) => {
    await using plain = await erasableMachine([disk]);
    const sysfs = sysfsOf(kname, before);
    let looks = 0;
    const machine = withSysfs(plain, sysfs, (command) => {
      // The second time somebody lists the disks is when this one's turn has come.
      if (command.startsWith('lsblk') && ++looks === 2)
        for (const [path, value] of sysfsOf(kname, after)) sysfs.set(path, value);
    });
    const outcome = await eraseMachine(machine);
    expect(outcome.failure).toContain('it is another disk');
    expect(outcome.records.filter(({ result }) => result === 'erased')).toEqual([]);
    const [first] = outcome.disks;
    expect(first && (await outcome.content(first)).equals(first.before)).toBe(true);
  });

  test('is not said to be erased when it comes while the first one erases itself', async () => {
    await using plain = await erasableMachine([NVME]);
    const sysfs = sysfsOf('nvme0n1', { diskseq: '3' });
    const machine = withSysfs(plain, sysfs, (command) => {
      if (command.startsWith('nvme format')) sysfs.set('/sys/class/block/nvme0n1/diskseq', '4\n');
    });
    const outcome = await eraseMachine(machine);
    expect(outcome.failure).toContain('it is another disk');
    expect(outcome.records).toMatchObject([{ result: 'failed', category: 'none' }]);
  });
});

test('a disk that comes back after a reset of its link, and says who it is, is the same', async () => {
  await using plain = await erasableMachine([NVME]);
  const sysfs = sysfsOf('nvme0n1', { diskseq: '3', wwid: 'eui.0025' });
  const machine = withSysfs(plain, sysfs, (command) => {
    if (command.startsWith('nvme format')) sysfs.set('/sys/class/block/nvme0n1/diskseq', '4\n');
  });
  const outcome = await eraseMachine(machine);
  expect(outcome.failure).toBe('');
  expect(outcome.records).toMatchObject([{ result: 'erased', category: 'clear' }]);
});

// Not everybody who holds a disk shows in lsblk: a pool of ZFS, a target that gives it to other machines.
test.each(['erase_devices', 'erase_devices_express'] as const)(
  'a disk that the kernel will not give us is not told to erase itself either (%s)',
  async (step) => {
    await using plain = await erasableMachine([NVME]);
    const { os } = plain;
    const openDevice: AgentOs['openDevice'] = async (path, mode) => {
      if (mode === 'write')
        throw new AgentError('ProtectedDeviceError', `cannot open ${path} for writing: it is in use`);
      return os.openDevice(path, mode);
    };
    const outcome = await eraseMachine({ ...plain, os: { ...os, openDevice } }, { step });
    expect(outcome.failure).toContain('it is in use');
    expect(plain.calls.filter((call) => call.startsWith('nvme format'))).toEqual([]);
    const [disk] = outcome.disks;
    expect(disk && (await outcome.content(disk)).equals(disk.before)).toBe(true);
  },
);

test.each([
  ['tcp', 'overwrite-zeros', /sanitize-block.*it is reached over tcp: other machines may have namespaces/],
  ['pcie', 'nvme-sanitize-block', /overwrite-zeros","why":"weaker/],
])('an NVMe subsystem that is reached over %s is planned to be erased by %s', async (transport, method, excluded) => {
  await using plain = await erasableMachine([{ kind: 'nvme', abilities: ['sanitize'] }]);
  const sysfs = new Map([['/sys/class/nvme/nvme0/transport', `${transport}\n`]]);
  plain.os.files.list = async (path) => (path === '/sys/class/nvme' ? ['nvme0'] : []);
  const outcome = await eraseMachine(withSysfs(plain, sysfs), { args: { dry_run: true } });
  const plan = (outcome.result as Record<string, { plan: { methods: { method: string }[]; excluded: unknown } }>)[
    '/dev/nvme0n1'
  ]?.plan;
  expect(plan?.methods[0]?.method).toBe(method);
  expect(JSON.stringify(plan?.excluded)).toMatch(excluded);
});
