import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { CommandProgress } from '../../../agent/api/command.ts';
import { machineParameters } from '../../../arch/qemu.ts';
import type { Progress } from '../../../cli/progress.ts';
import type { MachineDisk } from '../../../machine/arguments.ts';
import { Failure } from '../../../system/failure.ts';
import { writeAtomically } from '../../../system/files.ts';
import { startBmc } from '../bmc.ts';
import { createMachine, type Machine } from '../machine.ts';
import { HOST_SEEN_BY_GUEST, prepareNetboot } from '../netboot.ts';
import { makeSshKey, type SshKey, sshWhenReady } from '../ssh.ts';
import { USER_NAME } from '../user-image-recipe.ts';
import { runProgramJson, startConductor } from './programs.ts';
import { type DemoReport, residentBytes, timesOf } from './report.ts';
import { type DeploymentOptions, type Lab, prepare } from './prepare.ts';
import { createSteps, type Steps } from './steps.ts';
import { createTimeline, type ObservedNode, POWER_ON } from './timeline.ts';

const NODE = 'demo';
const HOSTNAME = 'hello-from-metal';
const GIB = 2 ** 30;
const DISK_BYTES = 4 * GIB;
/** The hint names the second disk, so that whoever takes the first one is found out. */
const ROOT_DISK_SERIAL = 'LAB-NVME-2';
const AGENT_PORT = 9999;
const SSH_TIMEOUT_SECONDS = 600;
/** A start of the ramdisk takes a minute under emulation; somebody waits in front of this. */
const CALLBACK_TIMEOUT_SECONDS = 600;
const CONSOLE_LINES = 25;
/** What a console shows when nothing will ever come of this start. */
const HOPELESS = /Kernel panic - not syncing.*|BdsDxe: No bootable option.*/;

/** The second one, to which the image goes, is larger than the image is. */
async function makeDisks(folder: string, imageBytes: number): Promise<MachineDisk[]> {
  const disks: MachineDisk[] = [
    { path: join(folder, 'disk-1.raw'), kind: 'virtio', serial: 'LAB-VIRTIO-1' },
    { path: join(folder, 'disk-2.raw'), kind: 'nvme', serial: ROOT_DISK_SERIAL },
  ];
  for (const { path } of disks) {
    await writeFile(path, '');
    await truncate(path, Math.max(DISK_BYTES, imageBytes + 2 * GIB));
  }
  return disks;
}

async function makeMachine(lab: Lab, folder: string): Promise<Machine> {
  const bootUrl = `http://${HOST_SEEN_BY_GUEST}:${lab.ports.conductor}`;
  return createMachine({
    tools: lab.tools,
    machine: lab.machine,
    acceleration: lab.acceleration,
    start: lab.host.start,
    folder,
    name: NODE,
    uuid: randomUUID(),
    mac: `52:54:00:${[...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`,
    memoryMiB: lab.memoryMiB,
    cpus: 2,
    disks: await makeDisks(folder, lab.image.virtualBytes),
    forwards: [
      { host: lab.ports.agent, guest: AGENT_PORT },
      { host: lab.ports.ssh, guest: 22 },
    ],
    netboot: await prepareNetboot(join(folder, 'tftp'), lab.tools, lab.machine, bootUrl),
  });
}

/** Looks at the node twice a second until told to stop; what cannot be read at a moment is read at the next. */
async function watchNode(url: string, observe: (node: ObservedNode) => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const answer = await fetch(`${url}/v1/nodes/${NODE}`, { signal });
      if (answer.ok) observe((await answer.json()) as ObservedNode);
      await sleep(500, undefined, { signal });
    } catch {
      await sleep(500);
    }
  }
}

/** Whether a good part of the image is on the disk, and not yet all of it. */
function isHalfWritten(node: ObservedNode): boolean {
  const progress = (node.driver_internal_info['agent_progress'] ?? {}) as Partial<CommandProgress>;
  const { phase, done = 0, total = 0 } = progress;
  return phase === 'write image' && done > total / 10 && done < total / 2;
}

type Context = { lab: Lab; steps: Steps; machine: Machine; bmcUrl: string; password: string; key: SshKey; api: string };

async function conduct({ lab, steps, machine, bmcUrl, password, key, api }: Context): Promise<void> {
  const { host, signal, image, ports } = lab;
  const ingot = (args: readonly (readonly string[])[]) => (progress: Progress) =>
    runProgramJson('ingot', [...args.flat(), '--api', api], { run: host.run, progress, signal, env });
  // Not among the words of a command, where everybody on this host could read it.
  const env = { INGOT_REDFISH_PASSWORD: password };
  const parameters = [
    machineParameters(lab.machine),
    // The conductor cannot reach an address inside QEMU's network, only a port of this host that leads to it.
    `ipa-advertise-host=127.0.0.1 ipa-advertise-port=${ports.agent}`,
  ].join(' ');
  await steps.run(
    'create node',
    ingot([
      ['node', 'create', NODE, '--redfish-address', bmcUrl, '--redfish-system-id', `/redfish/v1/Systems/${NODE}`],
      ['--redfish-username', 'admin', '--mac', machine.hardware.mac],
      ['--root-device', `serial=${ROOT_DISK_SERIAL}`, '--kernel-append', parameters],
    ]),
  );
  await steps.run('inspect', ingot([['node', 'inspect', NODE]]));
  await steps.run('clean', ingot([['node', 'clean', NODE]]));
  const sha256 = `sha256:${image.qcow2.sha256}`;
  await steps.run(
    'deploy',
    ingot([
      ['node', 'deploy', NODE, '--image', image.qcow2.path, '--checksum', sha256, '--disk-format', 'qcow2'],
      ['--hostname', HOSTNAME, '--ssh-key', key.publicText],
    ]),
  );
}

/** What the deployed system says of itself: its host name, and the serial number of the disk under its root file system. */
const WHO_ARE_YOU =
  'hostname; disk=$(lsblk -ndo PKNAME "$(findmnt -no SOURCE /)"); echo "$disk, serial $(lsblk -dno SERIAL "/dev/$disk")"';

async function logIn(
  { lab, key }: Context,
  progress: Progress,
  machine: Machine,
): Promise<{ hostname: string; rootDisk: string }> {
  const target = { port: lab.ports.ssh, user: USER_NAME, key };
  const show = () =>
    progress.update({ phase: 'the system starts', message: machine.serial.tail(1)[0]?.slice(0, 100) ?? '' });
  const timer = setInterval(show, 1000);
  try {
    const answer = await sshWhenReady(target, WHO_ARE_YOU, {
      run: lab.host.run,
      signal: lab.signal,
      timeoutSeconds: SSH_TIMEOUT_SECONDS,
    });
    const [hostname = '', rootDisk = ''] = answer.trim().split('\n');
    if (hostname !== HOSTNAME)
      throw new Failure(
        'WRONG_HOSTNAME',
        `the deployed system calls itself "${hostname}", and the config drive says "${HOSTNAME}"`,
      );
    if (!rootDisk.endsWith(ROOT_DISK_SERIAL))
      throw new Failure(
        'WRONG_DISK',
        `the deployed system runs from ${rootDisk}, and the hint says ${ROOT_DISK_SERIAL}`,
      );
    return { hostname, rootDisk };
  } finally {
    clearInterval(timer);
  }
}

/**
 * The whole job, once: a ramdisk is built, a machine boots it, is inspected, cleaned and deployed, and answers over SSH.
 * @returns the figures
 * @throws Failure `DEMO_STEP` that names the step and shows the end of the serial console
 */
export async function runDeployment(options: DeploymentOptions): Promise<DemoReport> {
  const { folder, progress, signal, host } = options;
  await using cleanup = new AsyncDisposableStack();
  let machine: Machine | undefined;
  const steps = createSteps(progress, signal, () => machine?.serial.tail(CONSOLE_LINES) ?? []);
  const lab = await prepare(options, steps);

  const room = join(folder, 'machine');
  await rm(room, { recursive: true, force: true });
  await mkdir(room, { recursive: true });
  cleanup.defer(async () => {
    // Gigabytes of disk and a private key are of no use to anybody; logs are.
    for (const name of ['disk-1.raw', 'disk-2.raw', 'id_ed25519', 'id_ed25519.pub', 'tftp'])
      await rm(join(room, name), { recursive: true, force: true });
  });
  machine = await makeMachine(lab, room);
  cleanup.defer(() => machine?.close());
  const timeline = createTimeline(() => performance.now());
  machine.onPower((event) => timeline.mark(event === 'on' ? POWER_ON : event === 'off' ? 'power off' : 'reset'));
  const resident: string[] = [];
  const hopeless = new AbortController();
  machine.serial.onLine((line) => {
    timeline.hear(line);
    const sign = HOPELESS.exec(line)?.[0];
    if (sign !== undefined) hopeless.abort(new Failure('MACHINE_STUCK', `the machine cannot go on: ${sign}`));
    if (line.includes('resident memory')) resident.push(line);
  });

  const password = randomBytes(12).toString('base64url');
  const bmc = await startBmc(new Map([[NODE, machine]]), { username: 'admin', password });
  cleanup.defer(() => bmc.close());
  const key = await makeSshKey(room, host.run, signal);
  const conductorArguments = [
    ['--port', String(lab.ports.conductor), '--state-dir', join(room, 'conductor')],
    ['--public-url', `http://${HOST_SEEN_BY_GUEST}:${lab.ports.conductor}`],
    ['--http-root', dirname(lab.image.qcow2.path), '--callback-timeout', String(CALLBACK_TIMEOUT_SECONDS)],
    ['--deploy-kernel', lab.ramdisk.kernel, '--deploy-ramdisk', lab.ramdisk.initramfs],
  ].flat();
  const begin = () =>
    startConductor(conductorArguments, { start: host.start, log: join(room, 'conductor.log'), signal });
  let conductor = await steps.run('start conductor', begin);
  cleanup.defer(() => conductor.stop());
  let disturbance: Promise<void> | undefined;
  const disturb = async () => {
    await conductor.kill();
    conductor = await begin();
  };
  const watching = new AbortController();
  const observe = (node: ObservedNode) => {
    timeline.observe(node);
    if (options.killConductorWhileWriting && isHalfWritten(node)) disturbance ??= disturb();
  };
  const watch = watchNode(conductor.url, observe, AbortSignal.any([watching.signal, signal]));
  cleanup.defer(async () => {
    watching.abort();
    await watch;
  });
  const watched = { ...lab, signal: AbortSignal.any([signal, hopeless.signal]) };
  const context: Context = { lab: watched, steps, machine, bmcUrl: bmc.url, password, key, api: conductor.url };
  await conduct(context);
  await disturbance;
  const running = machine;
  const answer = await steps.run('log in over SSH', (own) => logIn(context, own, running));
  timeline.mark('SSH login');
  return {
    result: 'passed',
    ...answer,
    conductorKilled: disturbance !== undefined,
    acceleration: lab.acceleration,
    machineMemoryMiB: lab.memoryMiB,
    kernelBytes: lab.ramdisk.kernelBytes,
    initramfsBytes: lab.ramdisk.initramfsBytes,
    agentResidentBytes: residentBytes(resident),
    imageBytes: lab.image.qcow2.bytes,
    imageVirtualBytes: lab.image.virtualBytes,
    steps: steps.done(),
    ...timesOf(timeline, lab.image.qcow2.bytes),
  };
}

/** Writes the report as JSON, whole or not at all. */
export async function writeReport(path: string, report: DemoReport): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeAtomically(path, (temporary) => writeFile(temporary, `${JSON.stringify(report, undefined, 2)}\n`));
}
