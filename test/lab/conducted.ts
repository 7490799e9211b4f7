import { randomUUID } from 'node:crypto';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Inventory } from '../../agent/api/inventory.ts';
import { findQemuMachine, IPXE_PACKAGE, machineParameters } from '../../arch/qemu.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { qemuTools } from '../../builder/tools.ts';
import type { Progress } from '../../cli/progress.ts';
import { chooseAcceleration } from '../../machine/acceleration.ts';
import type { MachineDisk } from '../../machine/arguments.ts';
import { freePorts } from '../../machine/ports.ts';
import { type Metal, startBmc } from './bmc.ts';
import { runProgramJson, startConductor } from './demo/programs.ts';
import { openDialog } from './dialog.ts';
import { labFailure } from './failures.ts';
import { createMachine, type Machine } from './machine.ts';
import { HOST_SEEN_BY_GUEST, prepareNetboot } from './netboot.ts';

const GIB = 2 ** 30;

/** The machine's network card, and its disks as the conductor has to find them. */
export const CONDUCTED_MAC = '52:54:00:a5:c1:17';
export const CONDUCTED_DISKS = [
  { name: '/dev/nvme0n1', serial: 'LAB-NVME-2', size: 6 * GIB },
  { name: '/dev/vda', serial: 'LAB-VIRTIO-1', size: 5 * GIB },
] as const;

/** Seconds that a machine under emulation, on a busy host, may take for an answer. */
export const PATIENCE_SECONDS = 300;

/**
 * Logs in with a password on a machine's serial console, and has its shell do one thing.
 * @param command its output, not its own text, has to match `answer`; typed again where it was lost, so twice must do no harm
 */
export async function logInOnConsole(
  machine: Machine,
  { user, password }: { user: string; password: string },
  command: string,
  answer: RegExp,
): Promise<RegExpExecArray> {
  const dialog = await openDialog(machine.consoleSocket);
  try {
    dialog.send('');
    await dialog.expect(/login: /, PATIENCE_SECONDS);
    dialog.send(user);
    await dialog.expect(/Password: /, PATIENCE_SECONDS);
    dialog.send(password);
    await dialog.expect(/[$#] /, PATIENCE_SECONDS);
    const found = await dialog.ask(command, answer, PATIENCE_SECONDS);
    dialog.send('exit');
    return found;
  } finally {
    dialog.close();
  }
}

export type ConductedOptions = {
  host: BuilderHost;
  /** `uname -m` name. */
  arch: string;
  /** Path of the build's results without their endings. */
  ramdisk: string;
  /** Made for the machine and its conductor; whoever calls this removes it. */
  folder: string;
  /** More kernel parameters. */
  parameters: readonly string[];
  /** The machine's memory, asked for at each start; 1024 unless said. */
  memoryMiB?: () => number;
  /** Where the conductor listens, and where the machine finds it if something stands in between; free ports unless said. */
  ports?: { conductor: number; public: number };
  /** Instead of two large, empty ones. */
  disks?: readonly MachineDisk[];
  /** More options of `ingot conductor`. */
  conductorOptions?: readonly string[];
  /** The machine goes off when it is switched off, and starts anew for each flow. */
  powerCycles?: boolean;
  progress: Progress;
  signal: AbortSignal;
};

/** A machine that boots a ramdisk over the network (firmware, TFTP, iPXE, HTTP) from a conductor of its own. */
export type ConductedMachine = AsyncDisposable & {
  machine: Machine;
  /** Address of the conductor. */
  api: string;
  /** Port of this host's loopback that leads to the machine's SSH. */
  sshPort: number;
  /** Runs a command of `ingot` against that conductor. */
  ingot: (...args: string[]) => Promise<unknown>;
  /** Has the machine inspected. @returns what its agent found */
  inspect: () => Promise<Inventory>;
};

/**
 * A machine as its BMC shows it, except that it stays on when it is switched off. The ramdisk of one flow is then there for the
 * next (Ironic calls it fast track), without another minute of booting under emulation.
 */
function stayingOn(machine: Machine): Metal {
  let looksOn = false;
  return {
    ...machine,
    // When its QEMU was killed, as by a power cut, that shows.
    isOn: () => looksOn && machine.isOn(),
    powerOn: async (boot) => {
      looksOn = true;
      await machine.powerOn(boot);
    },
    powerOff: async () => void (looksOn = false),
  };
}

async function makeDisks(folder: string): Promise<MachineDisk[]> {
  const disks: MachineDisk[] = [
    { path: join(folder, 'disk-1.raw'), kind: 'virtio', serial: 'LAB-VIRTIO-1' },
    { path: join(folder, 'disk-2.raw'), kind: 'nvme', serial: 'LAB-NVME-2' },
  ];
  for (const [index, { path }] of disks.entries()) {
    await writeFile(path, '');
    await truncate(path, (5 + index) * GIB);
  }
  return disks;
}

/** Makes the machine (1 GiB, two processors, two disks), its BMC and its conductor, and enrols it under the architecture's name. */
export async function conductMachine(options: ConductedOptions): Promise<ConductedMachine> {
  const { host, arch, ramdisk, folder, progress, signal } = options;
  const row = findQemuMachine(arch);
  if (row === undefined) throw labFailure('NO_PLATFORM', arch);
  await using cleanup = new AsyncDisposableStack();
  await mkdir(folder);
  const tools = await qemuTools(host, row, { progress, signal, more: [IPXE_PACKAGE] });
  const probe = { tools, machine: row, start: host.start, signal };
  const { acceleration } = await chooseAcceleration(`${ramdisk}.kernel`, host.cache, probe);
  const [freePort = 0, agentPort = 0, sshPort = 0] = await freePorts(3);
  const { ports = { conductor: freePort, public: freePort }, memoryMiB = () => 1024 } = options;
  const publicUrl = `http://${HOST_SEEN_BY_GUEST}:${ports.public}`;
  const machine = await createMachine({
    tools,
    machine: row,
    acceleration,
    start: host.start,
    folder,
    name: arch,
    uuid: randomUUID(),
    mac: CONDUCTED_MAC,
    get memoryMiB() {
      return memoryMiB();
    },
    cpus: 2,
    disks: [...(options.disks ?? (await makeDisks(folder)))],
    forwards: [
      { host: agentPort, guest: 9999 },
      { host: sshPort, guest: 22 },
    ],
    netboot: await prepareNetboot(join(folder, 'tftp'), tools, row, publicUrl),
  });
  cleanup.defer(() => machine.close());
  const bmc = await startBmc(new Map([[arch, options.powerCycles ? machine : stayingOn(machine)]]), {
    username: 'admin',
    password: 'x',
  });
  cleanup.defer(() => bmc.close());
  const conductor = await startConductor(
    [
      ['--port', String(ports.conductor), '--state-dir', join(folder, 'conductor'), '--public-url', publicUrl],
      ['--deploy-kernel', `${ramdisk}.kernel`, '--deploy-ramdisk', `${ramdisk}.initramfs`],
      ['--kernel-append', `nomodeset console=tty0 ${machineParameters(row)}`, ...(options.conductorOptions ?? [])],
    ].flat(),
    { start: host.start, log: join(folder, 'conductor.log'), signal },
  );
  cleanup.defer(() => conductor.stop());
  const api = conductor.url;
  const ingot = (...args: string[]) =>
    runProgramJson('ingot', [...args, '--api', api], {
      run: host.run,
      progress,
      signal,
      env: { INGOT_REDFISH_PASSWORD: 'x' },
    });
  const parameters = [
    // An inspection by itself has no API to beat to.
    `ipa-api-url=${publicUrl}`,
    `ipa-advertise-host=127.0.0.1 ipa-advertise-port=${agentPort}`,
    ...options.parameters,
  ];
  const create = [
    ['node', 'create', arch, '--redfish-address', bmc.url, '--redfish-system-id', `/redfish/v1/Systems/${arch}`],
    ['--redfish-username', 'admin', '--mac', CONDUCTED_MAC, '--kernel-append', parameters.join(' ')],
  ].flat();
  await ingot(...create);
  const owned = cleanup.move();
  return {
    machine,
    api,
    sshPort,
    ingot,
    inspect: async () => {
      await ingot('node', 'inspect', arch).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${machine.serial.tail(30).join('\n')}`, { cause: error });
      });
      const answer = await fetch(`${api}/v1/nodes/${arch}/inventory`, { signal });
      return ((await answer.json()) as { inventory: Inventory }).inventory;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
