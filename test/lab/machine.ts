import { constants, copyFile, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { QemuMachine } from '../../arch/qemu.ts';
import { type Acceleration, searchArguments } from '../../machine/arguments.ts';
import { ownedCommand } from '../../machine/owned.ts';
import type { Tools } from '../../machine/tools.ts';
import { reasonOf } from '../../system/failure.ts';
import type { Start } from '../../system/run.ts';
import { bootIndexes, type BootTarget } from './boot-order.ts';
import { labFailure } from './failures.ts';
import { deviceNames, type MachineHardware, possibleBoot, qemuArguments } from './qemu-arguments.ts';
import { connectQmp, type Qmp } from './qmp.ts';
import { followSerial, type SerialLog } from './serial.ts';

/** A Unix socket's path has at most 107 bytes. */
const LONGEST_SOCKET_PATH = 107;

export type MachineOptions = MachineHardware & {
  tools: Tools;
  machine: QemuMachine;
  acceleration: Acceleration;
  start: Start;
  /** Holds its firmware variables, serial log and QEMU's messages; made when it is not there. */
  folder: string;
};

export type PowerEvent = 'on' | 'off' | 'reset';

/** A server that can be switched on and off. Its disks and firmware variables outlive that, as metal's do. */
export type Machine = {
  hardware: MachineHardware;
  serial: SerialLog;
  /** Unix socket through which one can type at its serial console, while it is on. */
  consoleSocket: string;
  isOn: () => boolean;
  /** Switches it on; nothing happens when it is on already. */
  powerOn: (boot: BootTarget) => Promise<void>;
  /** Pulls the plug. */
  powerOff: () => Promise<void>;
  /** Presses the power button (ACPI); the operating system decides what follows. */
  powerButton: () => Promise<void>;
  /** Resets it; memory is lost, power stays. */
  reset: () => Promise<void>;
  /** Boot target of the next reset, whoever causes it. */
  setNextBoot: (boot: BootTarget) => Promise<void>;
  onPower: (listener: (event: PowerEvent) => void) => void;
  /** Resident memory of QEMU itself, bytes; undefined when off. */
  processId: () => number | undefined;
  /** Switches it off for good and stops reading its console. */
  close: () => Promise<void>;
};

type Running = { child: ReturnType<Start>; qmp: Qmp; gone: Promise<void> };

async function lastMessages(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-5).join('\n');
}

async function waitForMonitor(
  path: string,
  onEvent: Parameters<typeof connectQmp>[1],
  hasGone: () => boolean,
): Promise<Qmp> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await connectQmp(path, onEvent);
    } catch (error) {
      if (hasGone()) throw new Error('QEMU ended', { cause: error });
      if (attempt >= 300) throw error; // thirty seconds
      await sleep(100);
    }
  }
}

async function launch(
  options: MachineOptions,
  boot: BootTarget,
  onEvent: (event: PowerEvent) => void,
): Promise<Running> {
  const { tools, machine, folder } = options;
  const log = join(folder, 'qemu.log');
  const files = {
    firmwareCode: tools.path(machine.firmware.code),
    variables: join(folder, 'uefi-variables.fd'),
    serial: join(folder, 'serial.log'),
    console: join(folder, 'console'),
    monitor: join(folder, 'qmp'),
  };
  const tooLong = [files.console, files.monitor].find((path) => Buffer.byteLength(path) > LONGEST_SOCKET_PATH);
  if (tooLong !== undefined)
    throw labFailure('MACHINE_NOT_STARTED', `${options.name}: the path ${tooLong} is too long for a socket`);
  await copyFile(tools.path(machine.firmware.variables), files.variables, constants.COPYFILE_EXCL).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  await rm(files.monitor, { force: true });
  const args = [...searchArguments(tools), ...qemuArguments(machine, options.acceleration, options, files, boot)];
  const command = tools.command(machine.program, args);
  const output = await open(log, 'a');
  try {
    const owned = ownedCommand(command.file, command.args);
    const child = options.start(owned.file, owned.args, { env: command.env, stdio: ['ignore', output.fd, output.fd] });
    let hasGone = false;
    const gone = new Promise<void>((resolve) => {
      const end = () => {
        hasGone = true;
        resolve();
      };
      child.once('exit', end);
      child.once('error', end);
    });
    try {
      const qmp = await waitForMonitor(
        files.monitor,
        ({ event }) => event === 'RESET' && onEvent('reset'),
        () => hasGone,
      );
      return { child, qmp, gone };
    } catch (error) {
      child.kill('SIGKILL');
      const messages = await lastMessages(log);
      throw labFailure('MACHINE_NOT_STARTED', `${options.name}: ${reasonOf(error)}\n${messages}`, { cause: error });
    }
  } finally {
    await output.close();
  }
}

async function applyOrder(qmp: Qmp, hardware: MachineHardware, boot: BootTarget): Promise<void> {
  const { nics, disks } = deviceNames(hardware);
  const indexes = bootIndexes(boot, nics, disks);
  const set = (device: string, value: number) =>
    qmp.execute('qom-set', { path: `/machine/peripheral/${device}`, property: 'bootindex', value });
  // Two devices may not have the same index even for a moment.
  for (const { device } of indexes) await set(device, -1);
  for (const { device, index } of indexes) if (index >= 0) await set(device, index);
}

/** Makes a machine that is off. Its disks must exist. */
export async function createMachine(options: MachineOptions): Promise<Machine> {
  await mkdir(options.folder, { recursive: true });
  const serial = followSerial(join(options.folder, 'serial.log'));
  const listeners: ((event: PowerEvent) => void)[] = [];
  const emit = (event: PowerEvent) => listeners.forEach((listener) => listener(event));
  let running: Running | undefined;
  const must = (what: string): Running => {
    if (running === undefined) throw labFailure('MACHINE_OFF', what);
    return running;
  };
  const powerOff = async () => {
    if (running === undefined) return;
    const { child, gone } = running;
    child.kill('SIGTERM');
    await Promise.race([gone, sleep(3000, undefined, { ref: false })]);
    child.kill('SIGKILL');
    await gone;
  };
  return {
    hardware: options,
    serial,
    consoleSocket: join(options.folder, 'console'),
    isOn: () => running !== undefined,
    powerOn: async (boot) => {
      if (running !== undefined) return;
      const started = await launch(options, boot, emit);
      running = started;
      void started.gone.then(() => {
        started.qmp.close();
        running = undefined;
        emit('off');
      });
      emit('on');
    },
    powerOff,
    powerButton: async () => void (await must('press the power button').qmp.execute('system_powerdown')),
    reset: async () => void (await must('reset').qmp.execute('system_reset')),
    setNextBoot: async (boot) =>
      applyOrder(must('choose the boot device').qmp, options, possibleBoot(options.machine, boot)),
    onPower: (listener) => void listeners.push(listener),
    processId: () => running?.child.pid,
    close: async () => {
      await powerOff();
      for (const name of ['qmp', 'console']) await rm(join(options.folder, name), { force: true });
      await serial.close();
    },
  };
}
