import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openBlockDevice } from '../../agent/os/block-device.ts';
import type { AgentOs, BlockDevice } from '../../agent/os/door.ts';
import { Failure } from '../../system/failure.ts';
import type { Run } from '../../system/run.ts';
import { fakeOs, memoryFiles } from './agent-os.ts';
import { fakeClock } from './clock.ts';
import { sataAnswers } from './hdparm-answers.ts';
import { nvmeAnswers, sanitizeLog } from './nvme-answers.ts';

/** How a disk's firmware does what it is told. */
export type Firmware =
  | 'honest'
  /** Says that it is done, and nothing was. */
  | 'does-nothing'
  /** Says that it is done, and the second half was not. */
  | 'half'
  /** Stops in the middle and says so. */
  | 'fails-half-way'
  /** ATA: the firmware of the machine has frozen its security. */
  | 'frozen'
  /** ATA: does what it is told, and keeps the password. */
  | 'keeps-password'
  /** Takes each long write and keeps the first half of it. */
  | 'tears-writes'
  /** Takes writes and keeps none. */
  | 'ignores-writes'
  /** Has half of the sectors that it says it has: the others are the first ones once more. */
  | 'half-its-size'
  /** A bad place in the middle. */
  | 'bad-sector'
  /** Is gone after a while. */
  | 'vanishes'
  /** Reads give an error at one place. */
  | 'unreadable';

export type FakeDisk = {
  kind: 'sata' | 'nvme' | 'virtio';
  firmware?: Firmware;
  sectorBytes?: 512 | 4096;
  readOnly?: boolean;
  /** ATA Security, or NVMe Format: that it has something of its own at all. */
  abilities?: readonly ('security' | 'sanitize' | 'format' | 'crypto')[];
  discard?: boolean;
  serial?: string;
  lsblk?: Record<string, unknown>;
};

export type Disk = FakeDisk & {
  kname: string;
  path: string;
  file: string;
  sizeBytes: number;
  before: Buffer;
  /** ATA Security. */
  password: string | undefined;
  /** NVMe sanitize: polls until it is done. */
  sanitizing: number;
  sanitizeStatus: number;
  gone: boolean;
  writes: number;
};

const MIB = 1024 ** 2;
const DISK_BYTES = MIB / 4;

function dirt(length: number): Buffer {
  const words = new Uint32Array(length / 4);
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index + 77, 2_654_435_761) | 1;
  return Buffer.from(words.buffer);
}

function lsblkLine(disk: Disk): Record<string, unknown> {
  const nothing = [
    'pkname',
    'uuid',
    'ptuuid',
    'pttype',
    'partuuid',
    'parttype',
    'partlabel',
    'label',
    'fstype',
    'mountpoint',
  ];
  return {
    ...Object.fromEntries(nothing.map((name) => [name, null])),
    kname: disk.kname,
    model: `FAKE ${disk.kind}`,
    size: disk.sizeBytes,
    rota: disk.kind === 'sata',
    ro: disk.readOnly ?? false,
    type: 'disk',
    serial: disk.serial ?? `SERIAL-${disk.kname}`,
    wwn: null,
    'log-sec': disk.sectorBytes ?? 512,
    'phy-sec': disk.sectorBytes ?? 512,
    tran: disk.kind,
    hctl: null,
    ...disk.lsblk,
  };
}

function noSuchDevice(): Error {
  return Object.assign(new Error('ENXIO: no such device or address'), { code: 'ENXIO' });
}

/** The disk as the kernel lets it be written and read, with its firmware's vices. */
function behave(disk: Disk, device: BlockDevice): BlockDevice {
  const bad = disk.sizeBytes / 2;
  const checkThere = () => {
    if (disk.gone) throw noSuchDevice();
  };
  const touches = (buffer: Uint8Array, position: number) => position <= bad && position + buffer.length > bad;
  const place = (position: number) => (disk.firmware === 'half-its-size' ? position % (disk.sizeBytes / 2) : position);
  return {
    ...device,
    path: disk.path,
    sectorBytes: disk.sectorBytes ?? 512,
    write: async (buffer, position) => {
      disk.writes += 1;
      if (disk.firmware === 'vanishes' && disk.writes > 50) disk.gone = true;
      checkThere();
      if (disk.firmware === 'ignores-writes') return;
      if (disk.firmware === 'bad-sector' && touches(buffer, position)) throw new Error('EIO: i/o error, write');
      const isTorn = disk.firmware === 'tears-writes' && buffer.length > 4096;
      const kept = isTorn ? buffer.subarray(0, buffer.length / 2) : buffer;
      if (disk.firmware === 'half-its-size' && kept.length > 4096)
        for (let at = 0; at < kept.length; at += 4096)
          await device.write(kept.subarray(at, at + 4096), place(position + at));
      else await device.write(kept, place(position));
    },
    read: async (buffer, position) => {
      checkThere();
      await device.read(buffer, place(position));
    },
    readBack: async (buffer, position) => {
      checkThere();
      if (disk.firmware === 'unreadable' && touches(buffer, position)) throw new Error('EIO: i/o error, read');
      await device.readBack(buffer, place(position));
    },
    flush: async () => {
      checkThere();
      await device.flush();
    },
  };
}

/** What a device does when it is told to erase itself. @returns whether it says that it went well */
export async function eraseItself(disk: Disk): Promise<boolean> {
  const share = { 'does-nothing': 0, half: 0.5, 'fails-half-way': 0.5 }[disk.firmware as string] ?? 1;
  const handle = await open(disk.file, 'r+');
  await handle.write(Buffer.alloc(disk.sizeBytes * share), 0, disk.sizeBytes * share, 0);
  await handle.sync();
  await handle.close();
  return disk.firmware !== 'fails-half-way';
}

export type ErasableMachine = AsyncDisposable & {
  os: AgentOs;
  disks: Disk[];
  calls: string[];
  /** Bytes that a disk has now. */
  content: (disk: Disk) => Promise<Buffer>;
};

/**
 * A machine whose disks are files and whose tools (hdparm, nvme, blkdiscard) answer as recorded firmware does, honest or not. All
 * that is read from and written to the disks is real.
 */
export async function erasableMachine(fakes: readonly FakeDisk[]): Promise<ErasableMachine> {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-erase-'));
  const disks: Disk[] = [];
  const counts = { sata: 0, nvme: 0, virtio: 0 };
  for (const fake of fakes) {
    const index = counts[fake.kind]++;
    const letter = String.fromCodePoint(97 + index);
    const kname = { sata: `sd${letter}`, nvme: `nvme${index}n1`, virtio: `vd${letter}` }[fake.kind];
    const file = join(folder, kname);
    const before = dirt(DISK_BYTES);
    await writeFile(file, before);
    disks.push({
      ...fake,
      kname,
      path: `/dev/${kname}`,
      file,
      sizeBytes: DISK_BYTES,
      before,
      password: undefined,
      sanitizing: 0,
      sanitizeStatus: 0,
      gone: false,
      writes: 0,
    });
  }
  const calls: string[] = [];
  const find = (args: readonly string[]) =>
    disks.find(({ path }) => args.some((arg) => arg === path || arg === path.replace(/n1$/, '')));
  const run: Run = async (program, args) => {
    calls.push([program, ...args].join(' '));
    const answer = (stdout: string) => ({ stdout, stderr: '', exitCode: 0 });
    if (program === 'lsblk') return answer(JSON.stringify({ blockdevices: disks.map((disk) => lsblkLine(disk)) }));
    if (['udevadm', 'blockdev', 'wipefs'].includes(program)) return answer('');
    const disk = find(args);
    if (disk?.gone === true) throw new Failure('COMMAND_FAILED', `cannot run ${program}: No such device`);
    if (disk?.kind === 'sata' && program === 'hdparm') return answer(await sataAnswers(disk, args, eraseItself));
    if (disk?.kind === 'nvme' && program === 'nvme') return answer(await nvmeAnswers(disk, args, eraseItself));
    if (disk?.discard === true && program === 'blkdiscard') return answer(String(await eraseItself(disk)));
    throw new Failure('COMMAND_FAILED', `cannot run ${program}: spawn ${program} ENOENT`);
  };
  const limits = disks.map(({ kname, discard }) => [
    `/sys/class/block/${kname}/queue/discard_max_bytes`,
    discard ? '1048576' : '0',
  ]);
  return {
    calls,
    disks,
    content: async ({ file }) => {
      const handle = await open(file, 'r');
      const bytes = Buffer.alloc(DISK_BYTES);
      await handle.read(bytes, 0, DISK_BYTES, 0);
      await handle.close();
      return bytes;
    },
    os: fakeOs({
      run,
      runBytes: async (program, args) => {
        const disk = find(args);
        if (program !== 'nvme' || disk === undefined) throw new Error(`nothing runs ${program}`);
        return sanitizeLog(disk, eraseItself);
      },
      clock: fakeClock(),
      files: memoryFiles(Object.fromEntries(limits) as Record<string, string>),
      openDevice: async (path, mode) => {
        const disk = disks.find((one) => one.path === path);
        if (disk === undefined || disk.gone) throw noSuchDevice();
        return behave(disk, await openBlockDevice(disk.file, mode));
      },
    }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
