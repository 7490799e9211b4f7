import { appendFile, copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { BuilderHost } from '../../builder/host/door.ts';
import type { Progress } from '../../cli/progress.ts';
import { freePorts } from '../../machine/ports.ts';
import { type ConductedMachine, CONDUCTED_DISKS, conductMachine } from '../../test/lab/conducted.ts';
import { type HeardLine, listenTo, type Listener } from './console.ts';
import type { Ramdisk } from './contender.ts';
import { type Exchange, type Front, startFront } from './front.ts';
import { probeArchive } from './probe.ts';
import type { Boot } from './waterfall.ts';

export type BenchLab = {
  ramdisk: Ramdisk;
  /** Path of the node in the conductor's API. */
  nodePath: string;
  /** Of the next start. */
  setMemory: (mebibytes: number) => void;
  ingot: ConductedMachine['ingot'];
  /** Asks the conductor's API. @throws Error with its answer */
  api: (method: string, path: string, body?: unknown) => Promise<unknown>;
  machine: ConductedMachine['machine'];
  console: Listener;
  front: Front;
  /** What was seen since the last start, by the clock of that start. */
  seen: () => Boot;
  /** The same of the last start that has ended. */
  ended: () => Boot | undefined;
  /** What the machine has cost this host until now, undefined when it is off: the same however busy the host is. */
  processorSeconds: () => Promise<number | undefined>;
  /** Pulls the plug. */
  reset: () => Promise<void>;
  close: () => Promise<void>;
};

const ALIGNMENT = 4;

/** Links the kernel, and puts the probe behind a copy of the initramfs. @returns path without endings */
async function withProbe(ramdisk: Ramdisk, folder: string): Promise<string> {
  const name = join(folder, 'ramdisk');
  await symlink(ramdisk.kernel, `${name}.kernel`);
  await copyFile(ramdisk.initramfs, `${name}.initramfs`);
  const padding = new Uint8Array((ALIGNMENT - (ramdisk.initramfsBytes % ALIGNMENT)) % ALIGNMENT);
  await appendFile(`${name}.initramfs`, Buffer.concat([padding, await probeArchive()]));
  return name;
}

/** `getconf CLK_TCK` of every Linux that there is: what /proc/PID/stat counts in. */
const TICKS_PER_SECOND = 100;

/** @param stat /proc/PID/stat. @returns seconds in user and in kernel mode, all threads together (proc_pid_stat(5), fields 14 and 15) */
export function processorSecondsOf(stat: string): number {
  // The program's name, in brackets, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/**
 * A machine of its own for a ramdisk, a conductor that starts it, and a clock in between. Both ramdisks get the same: Ingot's
 * conductor speaks Ironic's protocol, and ironic-python-agent cannot tell.
 * @param options.httpRoot folder with the image
 */
export async function openLab(options: {
  host: BuilderHost;
  arch: string;
  ramdisk: Ramdisk;
  folder: string;
  httpRoot: string;
  memoryMiB: number;
  progress: Progress;
  signal: AbortSignal;
}): Promise<BenchLab> {
  const { host, arch, ramdisk, progress, signal } = options;
  const folder = join(options.folder, ramdisk.name);
  await using cleanup = new AsyncDisposableStack();
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  const [conductorPort = 0, publicPort = 0] = await freePorts(2);
  const front = await startFront(publicPort, conductorPort);
  cleanup.defer(() => front.close());
  let memoryMiB = options.memoryMiB;
  const conducted = await conductMachine({
    host,
    arch,
    ramdisk: await withProbe(ramdisk, folder),
    folder: join(folder, 'machine'),
    parameters: [],
    memoryMiB: () => memoryMiB,
    ports: { conductor: conductorPort, public: publicPort },
    conductorOptions: ['--http-root', options.httpRoot],
    powerCycles: true,
    progress,
    signal,
  });
  cleanup.use(conducted);
  const { machine, ingot, api: url } = conducted;
  const console = listenTo(machine.serial.path);
  cleanup.defer(() => console.close());
  let start = 0;
  let ended: Boot | undefined;
  machine.onPower((event) => {
    if (event === 'off') ended = seen();
    if (event !== 'on') return;
    start = performance.now();
    front.forget();
    console.forget();
  });
  const api: BenchLab['api'] = async (method, path, body) => {
    const answer = await fetch(`${url}${path}`, {
      method,
      signal,
      headers: { 'content-type': 'application/json', 'x-openstack-ironic-api-version': '1.81' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: HTTP ${answer.status}: ${text.slice(0, 500)}`);
    return text === '' ? undefined : JSON.parse(text);
  };
  const sinceStart = (milliseconds: number) => Math.max(0, (milliseconds - start) / 1000);
  const seen = (): Boot => ({
    lines: console.lines().map((line: HeardLine) => ({ ...line, at: sinceStart(line.at) })),
    exchanges: front.exchanges().map((one: Exchange) => ({
      ...one,
      begin: sinceStart(one.begin),
      end: sinceStart(one.end),
    })),
  });
  const owned = cleanup.move();
  return {
    ramdisk,
    nodePath: `/v1/nodes/${arch}`,
    setMemory: (mebibytes) => void (memoryMiB = mebibytes),
    ingot,
    api,
    machine,
    console,
    front,
    seen,
    ended: () => ended,
    processorSeconds: async () => {
      const pid = machine.processId();
      const stat = pid === undefined ? undefined : await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
      return stat === undefined ? undefined : processorSecondsOf(stat);
    },
    reset: () => machine.powerOff(),
    close: () => owned.disposeAsync(),
  };
}

/** What one can look at after a run: the console with the host's times, and every request. */
export async function keepLog(path: string, boot: Boot): Promise<void> {
  const stamp = (seconds: number) => seconds.toFixed(3).padStart(9);
  const rows = [
    ...boot.lines.map(({ at, text }) => ({ at, text })),
    ...boot.exchanges.map(({ begin, end, method, path: asked, status, bytes }) => ({
      at: begin,
      text: `HTTP> ${method} ${asked} ${status}, ${bytes} bytes, until ${end.toFixed(3)}`,
    })),
  ].toSorted((a, b) => a.at - b.at);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, rows.map(({ at, text }) => `${stamp(at)} ${text}\n`).join(''));
}

/** The disk that an image goes to: the smallest that is large enough, by Ironic's rule. */
export const SKIPPED_DISKS = CONDUCTED_DISKS.map(({ name }) => ({ name }));
