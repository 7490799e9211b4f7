import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openBlockDevice } from '../../agent/os/block-device.ts';
import type { AgentOs } from '../../agent/os/door.ts';
import { Failure } from '../../system/failure.ts';
import type { Run } from '../../system/run.ts';
import { fakeOs, memoryFiles } from './agent-os.ts';
import { fakeClock } from './clock.ts';
import { behave, eraseItself, type Firmware, type Leaves, noSuchDevice } from './disk-vices.ts';
import { sataAnswers } from './hdparm-answers.ts';
import { nvmeAnswers, sanitizeLog } from './nvme-answers.ts';
import { opalAnswers } from './opal-answers.ts';
import { scsiAnswers, senseData } from './scsi-answers.ts';

/** What the disk says it has: ATA Security, NVMe Format and its cryptographic form, all of Sanitize or one way of it, TCG Opal. */
export type Ability = 'security' | 'sanitize' | 'format' | 'crypto' | 'opal';

export type FakeDisk = {
  kind: 'sata' | 'sas' | 'nvme' | 'virtio';
  firmware?: Firmware;
  /** 256 KiB unless said, of which every sector is read back. */
  sizeBytes?: number;
  sectorBytes?: 512 | 4096;
  readOnly?: boolean;
  abilities?: readonly Ability[];
  discard?: boolean;
  /** ATA Security: it was given this password and has lost its power since. */
  lockedWith?: string;
  serial?: string;
  lsblk?: Record<string, unknown>;
  /** SCSI: byte 7 of the Block Device Characteristics page. */
  readsAfter?: number;
  /** SCSI: a sanitize takes other logical units, too. */
  takesOthers?: boolean;
  /** TCG Opal: nothing can be read or written until it is reverted with this. */
  psid?: string;
  isLocked?: boolean;
  /** 0 to 1: where those that leave something somewhere leave it. */
  seed?: number;
  /** Kernel name of the disk that is erased in this one's place: one namespace where it should have been another. */
  eraseGoesTo?: string;
  /** What it leaves when it says that it has erased itself, instead of what its firmware would. */
  leaves?: Leaves;
};

export type Disk = FakeDisk & {
  kname: string;
  path: string;
  file: string;
  sizeBytes: number;
  /** What was on it. */
  before: Buffer;
  seed: number;
  isLocked: boolean;
  /** ATA Security. */
  password: string | undefined;
  /** Looks at a sanitize until it is done. */
  sanitizing: number;
  /** As NVMe's log has it: 0 none, 1 done, 2 running, 3 failed. */
  sanitizeStatus: number;
  /** Reads and writes fail during a sanitize, as those of real devices do. */
  refusesWhileBusy: boolean;
  /** SCSI: the kernel was told no size, as the device was at a sanitize when it asked. */
  isSizeless: boolean;
  /** Reads are zeros, whatever is there. */
  isUnmapped: boolean;
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
    size: disk.isSizeless ? 0 : disk.sizeBytes,
    rota: disk.kind === 'sata' || disk.kind === 'sas',
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

export type ErasableMachine = AsyncDisposable & {
  os: AgentOs;
  disks: Disk[];
  calls: string[];
  /** Bytes that a disk has now. */
  content: (disk: Disk) => Promise<Buffer>;
};

function makeDisks(fakes: readonly FakeDisk[], folder: string): Disk[] {
  const counts = { sd: 0, nvme: 0, vd: 0 };
  return fakes.map((fake) => {
    const family = { sata: 'sd', sas: 'sd', nvme: 'nvme', virtio: 'vd' }[fake.kind] as keyof typeof counts;
    const index = counts[family]++;
    const kname = family === 'nvme' ? `nvme${index}n1` : `${family}${String.fromCodePoint(97 + index)}`;
    const sizeBytes = fake.sizeBytes ?? DISK_BYTES;
    return {
      ...fake,
      kname,
      path: `/dev/${kname}`,
      file: join(folder, kname),
      sizeBytes,
      before: dirt(sizeBytes),
      seed: fake.seed ?? 0.5,
      isLocked: fake.isLocked ?? fake.lockedWith !== undefined,
      password: fake.lockedWith,
      sanitizing: 0,
      sanitizeStatus: 0,
      refusesWhileBusy: true,
      isSizeless: false,
      isUnmapped: false,
      gone: false,
      writes: 0,
    };
  });
}

type Answer = (disk: Disk, args: readonly string[], erase: (disk: Disk) => Promise<boolean>) => Promise<string>;
/** By program and kind of disk; hdparm answers of a SCSI disk as well, with what it makes of no answer. */
const TOOLS: Readonly<Record<string, Partial<Record<FakeDisk['kind'], Answer>>>> = {
  hdparm: { sata: sataAnswers, sas: scsiAnswers.hdparm },
  nvme: { nvme: nvmeAnswers },
  sg_opcodes: { sas: scsiAnswers.opcodes },
  sg_sanitize: { sas: scsiAnswers.sanitize },
  'sedutil-cli': { sata: opalAnswers, nvme: opalAnswers, sas: opalAnswers },
};

/**
 * A machine whose disks are files and whose tools (hdparm, nvme, sg3_utils, sedutil-cli, blkdiscard) answer as recorded firmware
 * does, honest or not. All that is read from and written to the disks is real.
 * @param options.without tools that are not there
 */
export async function erasableMachine(
  fakes: readonly FakeDisk[],
  options: { without?: readonly string[] } = {},
): Promise<ErasableMachine> {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-erase-'));
  const disks = makeDisks(fakes, folder);
  for (const { file, before } of disks) await writeFile(file, before);
  const calls: string[] = [];
  const find = (args: readonly string[]) =>
    disks.find(({ path }) => args.some((arg) => arg === path || arg === path.replace(/n1$/, '')));
  const missing = (program: string) => new Failure('COMMAND_FAILED', `cannot run ${program}: spawn ${program} ENOENT`);
  const reach = (program: string, args: readonly string[]): Disk | undefined => {
    calls.push([program, ...args].join(' '));
    if (options.without?.includes(program)) throw missing(program);
    const disk = find(args);
    if (disk?.gone === true) throw new Failure('COMMAND_FAILED', `cannot run ${program}: No such device`);
    return disk;
  };
  const erase = (disk: Disk) => eraseItself(disks.find(({ kname }) => kname === disk.eraseGoesTo) ?? disk);
  const run: Run = async (program, args) => {
    const answer = (stdout: string) => ({ stdout, stderr: '', exitCode: 0 });
    const disk = reach(program, args);
    if (program === 'lsblk') return answer(JSON.stringify({ blockdevices: disks.map((one) => lsblkLine(one)) }));
    if (['udevadm', 'blockdev', 'wipefs'].includes(program)) return answer('');
    const tool = disk && TOOLS[program]?.[disk.kind];
    if (disk && tool) return answer(await tool(disk, args, erase));
    if (disk?.discard === true && program === 'blkdiscard') return answer(String(await erase(disk)));
    throw missing(program);
  };
  const locked = disks.flatMap(({ kname, lockedWith }, index): [string, string][] =>
    lockedWith === undefined
      ? []
      : [
          [`/sys/class/block/${kname}/dev`, `8:${index}\n`],
          [`/run/udev/data/b8:${index}`, 'E:ID_ATA_FEATURE_SET_SECURITY=1\nE:ID_ATA_FEATURE_SET_SECURITY_ENABLED=1\n'],
        ],
  );
  const limits = disks.map(({ kname, discard }): [string, string] => [
    `/sys/class/block/${kname}/queue/discard_max_bytes`,
    discard ? '1048576' : '0',
  ]);
  const files = memoryFiles(Object.fromEntries([...limits, ...locked]));
  return {
    calls,
    disks,
    content: ({ file }) => readFile(file),
    os: fakeOs({
      run,
      runBytes: async (program, args) => {
        const disk = reach(program, args);
        if (program === 'nvme' && disk?.kind === 'nvme') return sanitizeLog(disk, erase);
        if (program === 'sg_requests' && disk?.kind === 'sas') return senseData(disk, erase);
        throw missing(program);
      },
      clock: fakeClock(),
      files: {
        ...files,
        readBytes: async (path) => {
          const disk = disks.find(({ kname }) => path === `/sys/class/block/${kname}/device/vpd_pgb1`);
          return disk?.readsAfter === undefined
            ? files.readBytes(path)
            : Buffer.from([0, 0xb1, 0, 60, 0, 1, 0, disk.readsAfter]);
        },
        write: async (path, content, mode) => {
          const disk = disks.find(({ kname }) => path === `/sys/class/block/${kname}/device/rescan`);
          if (disk) disk.isSizeless = disk.sanitizing > 0;
          else await files.write(path, content, mode);
        },
      },
      openDevice: async (path, mode) => {
        const disk = disks.find((one) => one.path === path);
        if (disk === undefined || disk.gone) throw noSuchDevice();
        return behave(disk, await openBlockDevice(disk.file, mode));
      },
    }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
