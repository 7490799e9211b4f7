import { ROOT_IN_MEMORY } from '../arch/parameters.ts';
import { machineParameters, type QemuMachine } from '../arch/qemu.ts';
import { reasonOf } from '../system/failure.ts';
import type { Start } from '../system/run.ts';
import {
  type Acceleration,
  boardArguments,
  diskArguments,
  firmwareArguments,
  type Forward,
  type MachineDisk,
  networkArguments,
  searchArguments,
  word,
} from './arguments.ts';
import { consoleLines } from './console.ts';
import { machineFailure } from './failures.ts';
import { ownedCommand } from './owned.ts';
import type { Tools } from './tools.ts';

/** What a machine starts from: a kernel that QEMU loads, or a CD. */
export type BootMedium = { kernel: string; initramfs: string; append: string } | { iso: string };

export type BootHardware = {
  cpus: number;
  memoryMiB: number;
  disks: readonly MachineDisk[];
  forwards: readonly Forward[];
  /** Start through UEFI firmware even where a kernel could do without. */
  uefi: boolean;
};

function mediumArguments(machine: QemuMachine, medium: BootMedium): string[] {
  if ('iso' in medium)
    return [
      ['-drive', `if=none,id=cd,media=cdrom,readonly=on,format=raw,file=${word(medium.iso)}`],
      ['-device', 'virtio-scsi-pci,id=scsi0', '-device', 'scsi-cd,bus=scsi0.0,drive=cd,bootindex=0'],
    ].flat();
  // After a panic a ramdisk has nothing to say any more: the machine starts again, which ends QEMU (-no-reboot).
  const append = `${ROOT_IN_MEMORY} ${machineParameters(machine)} panic=-1 ${medium.append}`.trim();
  return ['-kernel', medium.kernel, '-initrd', medium.initramfs, '-append', append];
}

/**
 * QEMU's command line for a machine whose serial console is QEMU's own input and output. Pure, so that a test can read it.
 * @param terminal whether these are a terminal: then Ctrl-A is QEMU's key, and Ctrl-C goes to the machine
 */
export function bootArguments(
  { machine, tools, acceleration }: { machine: QemuMachine; tools: Pick<Tools, 'path'>; acceleration: Acceleration },
  medium: BootMedium,
  hardware: BootHardware,
  terminal: boolean,
): string[] {
  // An ISO has no loader for a board without firmware, and only QEMU's BIOS knows one.
  const plain = 'iso' in medium ? machine.plainStart === 'BIOS' : machine.plainStart !== undefined;
  const firmware =
    hardware.uefi || !plain
      ? firmwareArguments(
          { code: tools.path(machine.firmware.code), variables: tools.path(machine.firmware.variables) },
          { snapshot: true },
        )
      : [];
  return [
    searchArguments(tools),
    boardArguments(machine, acceleration, hardware),
    firmware,
    mediumArguments(machine, medium),
    ['-no-reboot', '-device', 'virtio-rng-pci', '-chardev'],
    terminal
      ? ['stdio,id=console,mux=on,signal=off', '-mon', 'chardev=console']
      : ['stdio,id=console', '-monitor', 'none'],
    ['-serial', 'chardev:console', '-parallel', 'none'],
    networkArguments(hardware),
    ...hardware.disks.map((disk, index) => diskArguments(disk, index)),
  ].flat();
}

export type RunningOptions = {
  tools: Pick<Tools, 'command'>;
  program: string;
  args: readonly string[];
  start: Start;
  signal: AbortSignal;
  /** Gets each line of the console; without it, the console is this process's own terminal. */
  onLine?: ((line: string) => void) | undefined;
};

/** How long QEMU gets to put the terminal in order and to close its files, ms. */
const PATIENCE_MS = 3000;
const KEPT_MESSAGES = 4000;

/**
 * Runs a machine until it is switched off. When `signal` is aborted, or this process dies, so does QEMU.
 * @throws Failure `MACHINE_ENDED` with QEMU's own words, or the signal's reason
 */
export async function runMachine(options: RunningOptions): Promise<void> {
  const { tools, program, args, start, signal, onLine } = options;
  signal.throwIfAborted();
  const command = tools.command(program, args);
  const owned = ownedCommand(command.file, command.args);
  const child = start(owned.file, owned.args, {
    env: command.env,
    stdio: onLine === undefined ? ['inherit', 'inherit', 'pipe'] : ['ignore', 'pipe', 'pipe'],
  });
  let messages = '';
  child.stderr?.on('data', (piece: Buffer) => (messages = (messages + piece.toString()).slice(-KEPT_MESSAGES)));
  const lines = consoleLines((line) => onLine?.(line));
  child.stdout?.on('data', (piece: Buffer) => lines.take(piece));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const end = () => {
    child.kill('SIGTERM');
    timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  };
  signal.addEventListener('abort', end, { once: true });
  try {
    const how = await new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${reasonOf(error)}`));
      child.once('close', (code, name) =>
        resolve(name === null ? (code === 0 ? '' : `ended with exit code ${code}`) : `was ended by ${name}`),
      );
    });
    if (lines.rest().trim() !== '') onLine?.(lines.rest().trimEnd());
    signal.throwIfAborted();
    if (how !== '') throw machineFailure('MACHINE_ENDED', `${how}\n${messages.trim()}`.trim());
  } finally {
    signal.removeEventListener('abort', end);
    clearTimeout(timer);
  }
}
