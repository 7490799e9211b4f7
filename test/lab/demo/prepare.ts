import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { findQemuMachine, type QemuMachine } from '../../../arch/qemu.ts';
import { hostArchitecture } from '../../../arch/table.ts';
import type { BuilderHost } from '../../../builder/host/door.ts';
import type { Progress } from '../../../cli/progress.ts';
import { chooseAcceleration } from '../../../machine/acceleration.ts';
import type { Acceleration } from '../../../machine/arguments.ts';
import { machineFailure } from '../../../machine/failures.ts';
import { freePorts } from '../../../machine/ports.ts';
import type { Tools } from '../../../machine/tools.ts';
import { growImage } from '../grown-image.ts';
import { findPlatform } from '../platform.ts';
import { labTools } from '../tools.ts';
import { userImage, type UserImage } from '../user-image.ts';
import { runProgramJson } from './programs.ts';
import type { Steps } from './steps.ts';

export type DeploymentOptions = {
  host: BuilderHost;
  /** Everything that the run leaves behind lies here. */
  folder: string;
  memoryMiB: number;
  /** Kills the conductor (SIGKILL) while the image is written, and starts it anew. */
  killConductorWhileWriting?: boolean;
  /** What the image is made to look like; its own 2 GiB unless said. The machine's disks are larger than that. */
  imageVirtualBytes?: number;
  /** As `--mirror` of build-ramdisk; APT's own sources unless said. */
  mirror: readonly string[];
  /** More words for build-ramdisk. */
  build?: readonly string[];
  progress: Progress;
  signal: AbortSignal;
};

type Ramdisk = { kernel: string; initramfs: string; kernelBytes: number; initramfsBytes: number };
type Ports = { conductor: number; agent: number; ssh: number };
/** What a machine needs that only boots the ramdisk. */
export type RamdiskLab = { machine: QemuMachine; tools: Tools; ramdisk: Ramdisk; acceleration: Acceleration };
/** What a deployment needs before a machine is switched on. */
export type Lab = DeploymentOptions & RamdiskLab & { image: UserImage; ports: Ports };

async function buildRamdisk(options: Omit<DeploymentOptions, 'memoryMiB'>, progress: Progress): Promise<Ramdisk> {
  const name = join(options.folder, 'ramdisk', 'ingot');
  const mirror = options.mirror.flatMap((url) => ['--mirror', url]);
  await mkdir(dirname(name), { recursive: true });
  await runProgramJson('build-ramdisk', ['-o', name, ...mirror, ...(options.build ?? [])], {
    ...options,
    run: options.host.run,
    progress,
  });
  const [kernel, initramfs] = [`${name}.kernel`, `${name}.initramfs`];
  return { kernel, initramfs, kernelBytes: (await stat(kernel)).size, initramfsBytes: (await stat(initramfs)).size };
}

/** The ramdisk and the means to boot it, from the cache where they are there. */
export async function prepareRamdisk(options: Omit<DeploymentOptions, 'memoryMiB'>, steps: Steps): Promise<RamdiskLab> {
  const { host, signal, mirror } = options;
  const arch = hostArchitecture()?.name ?? process.arch;
  const machine = findQemuMachine(arch);
  if (machine === undefined) throw machineFailure('NO_MACHINE', arch);
  const tools = await steps.run('fetch QEMU, firmware and iPXE', (progress) =>
    labTools(host, machine, { progress, signal, mirror }),
  );
  const ramdisk = await steps.run('build ramdisk', (progress) => buildRamdisk(options, progress));
  const { acceleration, reason } = await steps.run('choose acceleration', () =>
    chooseAcceleration(ramdisk.kernel, host.cache, { tools, machine, start: host.start, signal }),
  );
  options.progress.log(`  ${acceleration}: ${reason}`);
  return { machine, tools, ramdisk, acceleration };
}

/** Everything that can be made beforehand, from the cache where it is there. */
export async function prepare(options: DeploymentOptions, steps: Steps): Promise<Lab> {
  const { host, signal, mirror } = options;
  const lab = await prepareRamdisk(options, steps);
  const { tools, machine } = lab;
  const platform = findPlatform(machine.arch);
  const made = await steps.run('make user image', (progress) =>
    userImage({ host, tools, platform, progress, signal, mirror }),
  );
  const { imageVirtualBytes: virtualBytes } = options;
  const image =
    virtualBytes === undefined
      ? made
      : await steps.run('grow user image', () =>
          growImage(made, { virtualBytes, folder: join(options.folder, 'image'), tools, signal }),
        );
  const [conductor = 0, agent = 0, ssh = 0] = await freePorts(3);
  return { ...options, ...lab, image, ports: { conductor, agent, ssh } };
}
