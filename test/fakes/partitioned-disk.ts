import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openBlockDevice } from '../../agent/os/block-device.ts';
import type { AgentOs } from '../../agent/os/door.ts';
import { partOfDevice } from '../../agent/disk/part-of-device.ts';
import { type Run, systemRun } from '../../system/run.ts';
import { fakeOs, fakeRun, memoryFiles } from './agent-os.ts';
import { BLOCK } from './two-disks.ts';

/** These really run, on the file that stands for the disk. */
const ON_DISKS = ['sgdisk', 'wipefs'];
/** And these on a copy of a partition's range, which is put back. */
const ON_PARTITIONS = ['blkid', 'mkfs.vfat', 'mke2fs', 'mkswap', 'wipefs'];
const PROGRAMS = ['mkfs.vfat', 'mke2fs', 'mkswap'];

export type SfdiskPartition = { node: string; start: number; size: number; type: string; uuid?: string; name?: string };
type Sfdisk = { partitiontable: { label: string; id: string; partitions?: SfdiskPartition[] } };

/** Files in memory of which folders are known, too. */
function folderFiles(): ReturnType<typeof memoryFiles> {
  const memory = memoryFiles(Object.fromEntries(PROGRAMS.map((name) => [`/usr/sbin/${name}`, ''])));
  return { ...memory, resolve: async (path) => ((await memory.exists(path)) ? path : undefined) };
}

/**
 * A machine with one disk, which is a sparse file. Programs that partition and make file systems really work on it; its kernel is
 * sfdisk, which is asked for the partitions whenever the agent has the table read anew.
 */
export class PartitionedDisk {
  readonly calls: string[] = [];
  partitions: (SfdiskPartition & { kname: string })[] = [];
  /** Programs other than those that really run. */
  others: Run = fakeRun();
  readonly files = folderFiles();
  /** UUIDs of file systems that blkid found: what udev would know then. */
  readonly #uuids = new Map<string, string>();
  readonly #directory: string;
  readonly #kname: string;
  readonly sizeBytes: number;

  private constructor(directory: string, kname: string, sizeBytes: number) {
    this.#directory = directory;
    this.#kname = kname;
    this.sizeBytes = sizeBytes;
  }

  static async make(sizeBytes: number, kname = 'vda'): Promise<PartitionedDisk> {
    const disk = new PartitionedDisk(await mkdtemp(join(tmpdir(), 'ingot-partitions-')), kname, sizeBytes);
    await writeFile(disk.file, '');
    await truncate(disk.file, sizeBytes);
    return disk;
  }

  get file(): string {
    return join(this.#directory, 'disk');
  }

  get path(): string {
    return `/dev/${this.#kname}`;
  }

  close(): Promise<void> {
    return rm(this.#directory, { recursive: true });
  }

  /** The table as sfdisk reads it; undefined where it finds none. */
  async table(): Promise<Sfdisk['partitiontable'] | undefined> {
    const { stdout } = await systemRun('sfdisk', ['--json', this.file], { okExitCodes: [0, 1] });
    return stdout === '' ? undefined : (JSON.parse(stdout) as Sfdisk).partitiontable;
  }

  /** What the kernel does when it reads the table. */
  async rescan(): Promise<void> {
    const table = await this.table();
    const separator = /\d$/.test(this.#kname) ? 'p' : '';
    this.partitions = (table?.partitions ?? []).map((one) => {
      const number = one.node.slice(this.file.length).replace(/^p/, '');
      // An MBR's partitions have no UUIDs of their own: udev makes them of the disk's signature, where it has one.
      const isSigned = table?.label === 'dos' && Number(table.id) !== 0;
      const signed = isSigned ? `${table.id.slice(2)}-${number.padStart(2, '0')}` : undefined;
      const uuid = one.uuid?.toLowerCase() ?? signed;
      return { ...one, kname: `${this.#kname}${separator}${number}`, ...(uuid !== undefined && { uuid }) };
    });
  }

  async read(position: number, length: number): Promise<Buffer> {
    const handle = await open(this.file, 'r');
    const buffer = Buffer.alloc(length);
    await handle.read(buffer, 0, length, position);
    await handle.close();
    return buffer;
  }

  async write(bytes: Buffer, position: number): Promise<void> {
    const handle = await open(this.file, 'r+');
    await handle.write(bytes, 0, bytes.length, position);
    await handle.close();
  }

  partition(path: string): SfdiskPartition & { kname: string } {
    const found = this.partitions.find(({ kname }) => `/dev/${kname}` === path);
    if (!found) throw new Error(`no partition ${path}`);
    return found;
  }

  /** A copy of a partition, for programs that look into it. */
  async copyOut(path: string): Promise<string> {
    const { start, size } = this.partition(path);
    const copy = join(this.#directory, 'partition');
    await rm(copy, { force: true });
    const range = ['bs=1M', `skip=${start * 512}`, `count=${size * 512}`, 'iflag=skip_bytes,count_bytes'];
    await systemRun('dd', [`if=${this.file}`, `of=${copy}`, ...range, 'conv=sparse', 'status=none']);
    await truncate(copy, size * 512);
    return copy;
  }

  async #onPartition(file: string, args: readonly string[], path: string, options: Parameters<Run>[2]) {
    const copy = await this.copyOut(path);
    const result = await systemRun(
      file,
      args.map((arg) => (arg === path ? copy : arg)),
      options,
    );
    const uuid = /^UUID=(.+)$/m.exec(result.stdout)?.[1];
    if (file === 'blkid' && uuid !== undefined) this.#uuids.set(path, uuid);
    const place = [`of=${this.file}`, 'bs=1M', 'oflag=seek_bytes', `seek=${this.partition(path).start * 512}`];
    await systemRun('dd', [`if=${copy}`, ...place, 'conv=notrunc', 'status=none']);
    return result;
  }

  run: Run = async (file, args, options) => {
    this.calls.push([file, ...args].join(' '));
    const answer = (stdout: string) => ({ stdout, stderr: '', exitCode: 0 });
    if (file === 'udevadm') return answer('');
    if (file === 'blockdev') {
      await this.rescan();
      return answer('');
    }
    if (file === 'lsblk') {
      const disk = { ...BLOCK, kname: this.#kname, serial: 'ROOT', size: 192 * 1024 ** 3, type: 'disk', pkname: null };
      const parts = this.partitions.map(({ kname, uuid, type, size, name }) => ({
        ...BLOCK,
        kname,
        pkname: this.#kname,
        type: 'part',
        serial: null,
        uuid: this.#uuids.get(`/dev/${kname}`) ?? null,
        partuuid: uuid ?? null,
        partlabel: name ?? null,
        parttype: type.toLowerCase(),
        size: size * 512,
      }));
      return answer(JSON.stringify({ blockdevices: [disk, ...parts] }));
    }
    const last = args.at(-1) ?? '';
    if (ON_DISKS.includes(file) && last === this.path)
      return systemRun(file, [...args.slice(0, -1), this.file], options);
    if (ON_PARTITIONS.includes(file)) return this.#onPartition(file, args, last, options);
    return this.others(file, args, options);
  };

  os(): AgentOs {
    return fakeOs({
      run: this.run,
      files: this.files,
      openDevice: async (path, mode) => {
        // A kernel would open the partition; here it is the disk's file, of which the rest is out of reach.
        const part = path === this.path ? undefined : this.partition(path);
        const device = await openBlockDevice(this.file, mode);
        if (!part) return { ...device, path };
        const { start, size } = part;
        return { ...partOfDevice(device, path, start * 512, size * 512), close: () => device.close() };
      },
    });
  }
}
