import type { AgentOs } from '../../agent/os/door.ts';
import { type Run, systemRun } from '../../system/run.ts';
import { fakeOs, fakeRun } from './agent-os.ts';
import { type DiskFile, makeDiskFile } from './disk-file.ts';
import { fixture } from './machine.ts';

const MIB = 1024 ** 2;

type Block = Record<string, unknown> & { kname: string };
/** These really run, on files. Anything else of a machine, such as poweroff, would be this machine's own. */
const REAL_PROGRAMS = ['sgdisk', 'wipefs', 'blkid'];

/** A row of lsblk, to be changed. */
export const [BLOCK] = (JSON.parse(fixture('qemu-q35', 'lsblk.json')) as { blockdevices: Block[] }).blockdevices;

/**
 * A machine with two disks that are files, on which wipefs and sgdisk really work. Its kernel finds the partitions of a GPT when
 * it is told to look, and no others.
 */
export class TwoDisks {
  readonly disks = new Map<string, DiskFile>();
  readonly calls: string[] = [];
  partitions: Block[] = [];
  /** Programs other than those that look at disks or change them; there are none unless a test brings some. */
  others: Run = fakeRun();
  sectorBytes = 512;
  /** What the kernel says of the disk that the tests do not write to. */
  spareBytes = 192 * 1024 * MIB;
  /** And of the one that they write to. */
  rootBytes = 192 * 1024 * MIB;

  /** @param rootBytes size of the disk that the tests write to; enough for the image alone unless said */
  async start(rootBytes: number = 12 * MIB): Promise<void> {
    this.disks.set('/dev/sda', await makeDiskFile(4 * MIB));
    this.disks.set('/dev/vda', await makeDiskFile(rootBytes));
  }

  async stop(): Promise<void> {
    for (const disk of this.disks.values()) await disk.close();
  }

  disk(path: string): DiskFile {
    const disk = this.disks.get(path);
    if (!disk) throw new Error(`no disk ${path}`);
    return disk;
  }

  async #rescan(path: string): Promise<void> {
    const disk = this.disk(path);
    const { stdout } = await systemRun('sgdisk', ['-p', disk.path], { okExitCodes: [0, 1, 2] });
    const numbers = stdout.includes('Partition table scan')
      ? []
      : [...stdout.matchAll(/^\s+(\d+)\s+\d+\s+\d+\s/gm)].map((match) => match[1] ?? '');
    this.partitions = [];
    for (const number of numbers) {
      const kname = `${path.slice(5)}${number}`;
      const info = (await systemRun('sgdisk', ['-i', number, disk.path])).stdout;
      const field = (pattern: RegExp) => pattern.exec(info)?.[1]?.toLowerCase() ?? null;
      this.partitions.push({
        ...BLOCK,
        kname,
        pkname: path.slice(5),
        type: 'part',
        serial: null,
        partuuid: field(/unique GUID: (\S+)/),
        parttype: field(/GUID code: (\S+)/),
        size: 64 * MIB,
      });
      if (!this.disks.has(`/dev/${kname}`)) this.disks.set(`/dev/${kname}`, await makeDiskFile(MIB));
    }
  }

  run: Run = async (file, args, options) => {
    this.calls.push([file, ...args].join(' '));
    const answer = (stdout: string) => ({ stdout, stderr: '', exitCode: 0 });
    if (file === 'udevadm') return answer('');
    if (file === 'blockdev') {
      await this.#rescan(args[1] ?? '');
      return answer('');
    }
    if (file === 'lsblk') {
      const disk = (kname: string, serial: string, size: number) => ({
        ...BLOCK,
        kname,
        serial,
        size,
        type: 'disk',
        pkname: null,
      });
      return answer(
        JSON.stringify({
          blockdevices: [
            disk('sda', 'SPARE', this.spareBytes),
            disk('vda', 'ROOT', this.rootBytes),
            ...this.partitions,
          ],
        }),
      );
    }
    if (!REAL_PROGRAMS.includes(file)) return this.others(file, args, options);
    return systemRun(
      file,
      args.map((arg) => this.disks.get(arg)?.path ?? arg),
      options,
    );
  };

  os(): AgentOs {
    return fakeOs({
      run: this.run,
      openDevice: async (path) => ({
        ...this.disk(path).device,
        path,
        sectorBytes: this.sectorBytes,
        close: async () => undefined,
      }),
    });
  }
}

/** A disk image as one finds it: GPT, two partitions, something in each. */
export async function makeDiskImage(): Promise<Buffer> {
  const disk = await makeDiskFile(8 * MIB);
  await disk.device.zero(0, 8 * MIB);
  await systemRun('sgdisk', ['-n', '1:2048:+2M', '-t', '1:ef00', '-n', '2:0:0', disk.path]);
  await disk.device.write(Buffer.alloc(2 * MIB, 'root file system '), 4 * MIB);
  const content = await disk.content();
  await disk.close();
  return content;
}
