import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { findQemuMachine, machineParameters, type QemuMachine } from '../../../arch/qemu.ts';
import { toolCommand } from '../../../builder/sysroot.ts';
import type { MachineDisk } from '../../../machine/arguments.ts';
import { machineFailure } from '../../../machine/failures.ts';
import { type Tools, toolsIn } from '../../../machine/tools.ts';
import type { Run, Start } from '../../../system/run.ts';
import { startBmc } from '../../lab/bmc.ts';
import { createMachine, type Machine } from '../../lab/machine.ts';
import { HOST_SEEN_BY_GUEST, IRONIC_SCRIPT, prepareNetboot } from '../../lab/netboot.ts';
import { makeSshKey, type SshKey } from '../../lab/ssh.ts';
import { type Client, createClient } from './client.ts';
import { BMC_USER, INSIDE, MAC, NODE, PORTS, ROOT_DISK_SERIAL } from './names.ts';
import { FILES, type Plan } from './plan.ts';
import { type Recorder, startRecorder } from './record/recorder.ts';
import { openTree, startServices } from './services.ts';

const DISK_GIB = 4;

/** What the flows work with. */
export type World = {
  plan: Plan;
  run: Run;
  signal: AbortSignal;
  client: Client;
  machine: Machine;
  disks: readonly MachineDisk[];
  key: SshKey;
  /** What was deployed last. */
  deployed: { hostname: string };
  /** Only when the wire is recorded. */
  recorder: Recorder | undefined;
  /** Versions of what took part, for the report. */
  versions: Record<string, string>;
};

export type Door = { run: Run; start: Start; signal: AbortSignal };

/** Two disks that have been used before: cleaning has something to clean. */
async function makeDisks(folder: string, tools: Tools, signal: AbortSignal): Promise<MachineDisk[]> {
  const disks: MachineDisk[] = [
    { path: join(folder, 'disk-1.raw'), kind: 'virtio', serial: 'LAB-VIRTIO-1' },
    { path: join(folder, 'disk-2.raw'), kind: 'nvme', serial: ROOT_DISK_SERIAL },
  ];
  for (const { path } of disks) {
    await writeFile(path, '');
    await truncate(path, DISK_GIB * 2 ** 30);
    await tools.run('/usr/sbin/sgdisk', ['--clear', '--new=1:0:0', '--change-name=1:used', path], { signal });
  }
  return disks;
}

async function makeMachine(plan: Plan, row: QemuMachine, tools: Tools, disks: MachineDisk[], door: Door) {
  const folder = join(plan.folder, FILES.machine);
  return createMachine({
    tools,
    machine: row,
    acceleration: plan.acceleration,
    start: door.start,
    folder,
    name: NODE,
    uuid: randomUUID(),
    mac: MAC,
    memoryMiB: plan.memoryMiB,
    cpus: 2,
    disks,
    forwards: [
      { host: PORTS.agent, guest: 9999 },
      { host: PORTS.ssh, guest: 22 },
    ],
    netboot: await prepareNetboot(
      join(folder, 'tftp'),
      tools,
      row,
      `http://${HOST_SEEN_BY_GUEST}:${PORTS.images}`,
      IRONIC_SCRIPT,
    ),
  });
}

/** Enrols the machine as an operator would: its BMC, its ramdisk, its card, and on which disk the system goes. */
async function enrol(client: Client, password: string): Promise<void> {
  const info = {
    redfish_address: `http://127.0.0.1:${PORTS.bmc}`,
    redfish_system_id: `/redfish/v1/Systems/${NODE}`,
    redfish_username: BMC_USER,
    redfish_password: password,
    redfish_auth_type: 'basic',
    deploy_kernel: `file://${INSIDE.images}/ingot.kernel`,
    deploy_ramdisk: `file://${INSIDE.images}/ingot.initramfs`,
    rescue_kernel: `file://${INSIDE.images}/ingot.kernel`,
    rescue_ramdisk: `file://${INSIDE.images}/ingot.initramfs`,
  };
  const pairs = Object.entries(info).flatMap(([name, value]) => ['--driver-info', `${name}=${value}`]);
  const words = [
    ['node', 'create', '--name', NODE, '--driver', 'redfish', '--rescue-interface', 'agent', ...pairs],
    ['--property', `root_device={"serial": "${ROOT_DISK_SERIAL}"}`],
  ].flat();
  const created = (await client.json(...words)) as { uuid: string };
  await client.run('port', 'create', MAC, '--node', created.uuid);
}

async function readVersions(root: string, { run, signal }: Door): Promise<Record<string, string>> {
  const format = '--showformat=${Package} ${Version}\\n';
  const names = ['ironic-common', 'python3-ironicclient', 'python3-sushy'];
  const { stdout } = await run('chroot', [root, 'dpkg-query', '--show', format, ...names], { signal });
  return Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
      .map(([name = '', version = '']) => [name, version]),
  );
}

/** The images under the names that nginx and Ironic know them by. */
async function giveImages(folder: string, plan: Plan, { run, signal }: Door): Promise<void> {
  await mkdir(folder, { recursive: true });
  const given: [source: string, name: string][] = [
    [plan.ramdisk.kernel, 'ingot.kernel'],
    [plan.ramdisk.initramfs, 'ingot.initramfs'],
    [plan.image.qcow2.path, 'user.qcow2'],
    [plan.image.raw.path, 'user.raw'],
  ];
  for (const [source, name] of given) {
    await writeFile(join(folder, name), '');
    await run('mount', ['--bind', source, join(folder, name)], { signal });
  }
}

/** Everything that the flows need, in this namespace: Ironic, images, a machine that is off, its BMC. `cleanup` ends it. */
export async function openWorld(
  plan: Plan,
  door: Door,
  cleanup: AsyncDisposableStack,
  step: <T>(name: string, work: () => Promise<T>) => Promise<T>,
): Promise<World> {
  const { signal } = door;
  const row = findQemuMachine(plan.arch);
  if (row === undefined) throw machineFailure('NO_MACHINE', plan.arch);
  const images = join(plan.folder, FILES.given);
  const logs = join(plan.folder, FILES.logs);
  await mkdir(logs, { recursive: true });
  const tree = await step('unpack Ironic', async () => {
    await giveImages(images, plan, door);
    return openTree(join(plan.folder, FILES.tree), plan.tree, { images, logs }, door);
  });
  const recorder = plan.record ? cleanup.use(await startRecorder()) : undefined;
  await step('start Ironic', () =>
    startServices(
      tree,
      {
        agentApiPort: plan.record ? PORTS.recordedApi : PORTS.api,
        machineParameters: machineParameters(row),
        service: plan.flows.includes('service'),
      },
      { ironic: join(plan.folder, FILES.ironicLog), images: join(plan.folder, FILES.imagesLog) },
      door,
    ),
  );
  const tools = toolsIn(plan.tools, (program) => toolCommand(plan.tools, program), door.run);
  const room = join(plan.folder, FILES.machine);
  await mkdir(room, { recursive: true });
  const disks = await makeDisks(room, tools, signal);
  cleanup.defer(async () => {
    // Gigabytes of disk and a private key are of no use to anybody; logs are.
    for (const name of [...disks.map(({ path }) => path), join(room, 'tftp'), join(room, 'id_ed25519')])
      await rm(name, { recursive: true, force: true });
  });
  const machine = await makeMachine(plan, row, tools, disks, door);
  cleanup.defer(() => machine.close());
  const password = randomBytes(12).toString('base64url');
  const bmc = await startBmc(new Map([[NODE, machine]]), { username: BMC_USER, password, port: PORTS.bmc });
  cleanup.defer(() => bmc.close());
  const client = createClient(tree, door);
  await step('enrol the node', () => enrol(client, password));
  const key = await makeSshKey(room, door.run, signal);
  return {
    plan,
    run: door.run,
    signal,
    client,
    machine,
    disks,
    key,
    deployed: { hostname: '' },
    recorder,
    versions: await readVersions(tree.root, door),
  };
}
