import { mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findQemuMachine, type QemuMachine } from '../arch/qemu.ts';
import type { Progress } from '../cli/progress.ts';
import { chooseAcceleration } from '../machine/acceleration.ts';
import { type Acceleration, type Forward, type MachineDisk } from '../machine/arguments.ts';
import { bootArguments, type BootMedium, runMachine } from '../machine/boot.ts';
import { machineFailure } from '../machine/failures.ts';
import { reasonOf } from '../system/failure.ts';
import { builderFailure } from './failures.ts';
import type { BuilderHost } from './host/door.ts';
import { qemuTools } from './tools.ts';

export type BootOptions = {
  host: BuilderHost;
  /** Path of a build's results without their endings. */
  name: string;
  /** Boot NAME.iso instead of kernel and initramfs. */
  iso: boolean;
  uefi: boolean;
  append: string;
  cpus: number;
  memoryMiB: number;
  /** Each a file, or a size such as `4G`; with `nvme:` before it an NVMe disk, else a virtio disk. */
  disks: readonly string[];
  forwards: readonly Forward[];
  mirror: readonly string[];
  progress: Progress;
  signal: AbortSignal;
  /** Called once, before the machine starts. */
  onStart: (facts: BootFacts) => void;
  /** As for `runMachine`. */
  onLine: ((line: string) => void) | undefined;
};

export type BootFacts = { arch: string; kernelVersion: string; acceleration: Acceleration; reason: string };

const UNITS = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `4G`, `512M`, `1.5T` in bytes (powers of 1024); undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([KMGT])(?:i?B)?$/i.exec(text);
  if (!match) return undefined;
  const bytes = Number(match[1]) * UNITS[(match[2] ?? '').toUpperCase() as keyof typeof UNITS];
  return Math.ceil(bytes / 512) * 512;
}

/** QEMU must not guess a disk's format: what a guest writes at its front would change the guess. */
async function formatOf(path: string): Promise<'raw' | 'qcow2'> {
  const facts = await stat(path);
  // A ramdisk erases disks for a living: those of this machine are not for trying it out.
  if (!facts.isFile()) throw new Error('it is no file');
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(4);
    await file.read(head, 0, 4, 0);
    return head.toString('latin1') === 'QFI\u00FB' ? 'qcow2' : 'raw';
  } finally {
    await file.close();
  }
}

async function prepareDisk(text: string, index: number, folder: string): Promise<MachineDisk> {
  const kind = text.startsWith('nvme:') ? 'nvme' : 'virtio';
  const what = text.replace(/^(nvme|virtio):/, '');
  const serial = `BOOT-DISK-${index + 1}`;
  const bytes = parseSize(what);
  if (bytes === undefined) {
    const format = await formatOf(what).catch((error: unknown) => {
      throw machineFailure('DISK_UNUSABLE', `--disk ${text}: ${reasonOf(error)}`, { cause: error });
    });
    return { path: what, format, kind, serial };
  }
  const path = join(folder, `disk-${index + 1}.raw`);
  await writeFile(path, '');
  await truncate(path, bytes);
  return { path, kind, serial };
}

type Built = { machine: QemuMachine; kernelVersion: string };

async function readBuild(name: string): Promise<Built> {
  const path = `${name}.manifest.json`;
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw builderFailure('NOTHING_TO_BOOT', `${path}: ${reasonOf(error)}`, { cause: error });
  });
  let manifest: { arch?: unknown; kernel?: { version?: unknown } };
  try {
    manifest = JSON.parse(text) as typeof manifest;
  } catch (error) {
    throw builderFailure('NOTHING_TO_BOOT', `${path}: ${reasonOf(error)}`, { cause: error });
  }
  const arch = String(manifest.arch);
  const machine = findQemuMachine(arch);
  if (machine === undefined) throw machineFailure('NO_MACHINE', arch);
  return { machine, kernelVersion: String(manifest.kernel?.version) };
}

async function readableFile(path: string): Promise<string> {
  await stat(path).catch((error: unknown) => {
    throw builderFailure('NOTHING_TO_BOOT', `${path}: ${reasonOf(error)}`, { cause: error });
  });
  return path;
}

/**
 * Boots what a build has made in a virtual machine, and comes back when that is switched off. QEMU comes from Debian packages in
 * the cache; nothing is installed, and nothing is left but what was written to disks that were given by name.
 * @throws Failure `NOTHING_TO_BOOT`, `NO_MACHINE`, `DISK_UNUSABLE`, `MACHINE_ENDED`
 */
export async function bootRamdisk(options: BootOptions): Promise<void> {
  const { host, name, progress, signal, mirror } = options;
  const { machine, kernelVersion } = await readBuild(name);
  const kernel = await readableFile(`${name}.kernel`);
  const medium: BootMedium = options.iso
    ? { iso: await readableFile(`${name}.iso`) }
    : { kernel, initramfs: await readableFile(`${name}.initramfs`), append: options.append };
  const folder = await mkdtemp(join(tmpdir(), 'ingot-boot-'));
  try {
    const disks = await Promise.all(options.disks.map((text, index) => prepareDisk(text, index, folder)));
    const tools = await qemuTools(host, machine, { progress, signal, mirror });
    progress.update({ phase: 'find out whether KVM works here' });
    const chosen = await chooseAcceleration(kernel, host.cache, { tools, machine, start: host.start, signal });
    progress.finish();
    const terminal = options.onLine === undefined;
    const args = bootArguments(
      { machine, tools, acceleration: chosen.acceleration },
      medium,
      { ...options, disks },
      terminal,
    );
    options.onStart({ arch: machine.arch, kernelVersion, ...chosen });
    await runMachine({ tools, program: machine.program, args, start: host.start, signal, onLine: options.onLine });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
