import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Inventory } from '../../agent/api/inventory.ts';
import { findQemuMachine, IPXE_PACKAGE } from '../../arch/qemu.ts';
import { ARCHITECTURE_NAMES } from '../../arch/table.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { openHost } from '../../builder/host/system.ts';
import { hashPassword } from '../../builder/password.ts';
import { qemuTools } from '../../builder/tools.ts';
import { createProgress, type Progress } from '../../cli/progress.ts';
import { chooseAcceleration } from '../../machine/acceleration.ts';
import type { MachineDisk } from '../../machine/arguments.ts';
import { freePorts } from '../../machine/ports.ts';
import { systemStart } from '../../system/run.ts';
import { type Metal, startBmc } from '../lab/bmc.ts';
import { runProgramJson, startConductor } from '../lab/demo/programs.ts';
import { createMachine, type Machine } from '../lab/machine.ts';
import { openDialog } from '../lab/dialog.ts';
import { processesNaming } from '../lab/processes.ts';
import { makeSshKey, ssh, type SshKey, sshWhenReady } from '../lab/ssh.ts';
import { HOST_SEEN_BY_GUEST, prepareNetboot } from '../lab/netboot.ts';

// Ramdisks for all architectures, each booted over the network (firmware, TFTP, iPXE, HTTP) in a machine with 1 GiB by the real
// conductor, which reads its inventory and has a step done; in between, people log in. One boot for each: they take a minute.

const GIB = 2 ** 30;
const PATIENCE_SECONDS = 120;
const MAC = '52:54:00:a5:c1:17';
const progress: Progress = createProgress('lines', { write: (text) => process.stdout.write(text) });
const controller = new AbortController();
const { signal } = controller;
let folder: string;
let host: BuilderHost;
let key: SshKey;
const passwords = { devuser: randomBytes(9).toString('base64url'), root: randomBytes(9).toString('base64url') };
const nameOf = (arch: string) => join(folder, `ingot-${arch}`);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-arch-'));
  host = await openHost();
  key = await makeSshKey(folder, host.run, signal);
  const options = ['--arch', 'all', '--compress', 'zstd:3', '-e', 'devuser dynamic-login', '-o', join(folder, 'ingot')];
  const env = { DIB_DEV_USER_PASSWORD: passwords.devuser };
  await runProgramJson('build-ramdisk', options, { run: host.run, progress, signal, env });
});
afterAll(async () => {
  controller.abort();
  await rm(folder, { recursive: true, force: true });
});

/**
 * A machine as its BMC shows it, except that it stays on when it is switched off. The ramdisk of one flow is then there for the
 * next (Ironic calls it fast track), without another minute of booting under emulation.
 */
function stayingOn(machine: Machine): Metal {
  let looksOn = false;
  return {
    ...machine,
    isOn: () => looksOn,
    powerOn: async (boot) => {
      looksOn = true;
      await machine.powerOn(boot);
    },
    powerOff: async () => void (looksOn = false),
  };
}

async function makeDisks(room: string): Promise<MachineDisk[]> {
  const disks: MachineDisk[] = [
    { path: join(room, 'disk-1.raw'), kind: 'virtio', serial: 'LAB-VIRTIO-1' },
    { path: join(room, 'disk-2.raw'), kind: 'nvme', serial: 'LAB-NVME-2' },
  ];
  for (const [index, { path }] of disks.entries()) {
    await writeFile(path, '');
    await truncate(path, (5 + index) * GIB);
  }
  return disks;
}

describe.each(ARCHITECTURE_NAMES)('the ramdisk for %s', (arch) => {
  const cleanup = new AsyncDisposableStack();
  let machine: Machine;
  let api: string;
  let sshPort: number;
  const ingot = (...args: string[]) =>
    runProgramJson('ingot', [...args, '--api', api], {
      run: host.run,
      progress,
      signal,
      env: { INGOT_REDFISH_PASSWORD: 'x' },
    });

  beforeAll(async () => {
    const row = findQemuMachine(arch);
    if (row === undefined) throw new Error(`no row for ${arch}`);
    const room = join(folder, arch);
    await mkdir(room);
    const tools = await qemuTools(host, row, { progress, signal, more: [IPXE_PACKAGE] });
    const { acceleration } = await chooseAcceleration(`${nameOf(arch)}.kernel`, host.cache, {
      tools,
      machine: row,
      start: host.start,
      signal,
    });
    const [conductorPort = 0, agentPort = 0, port = 0] = await freePorts(3);
    sshPort = port;
    const publicUrl = `http://${HOST_SEEN_BY_GUEST}:${conductorPort}`;
    machine = await createMachine({
      tools,
      machine: row,
      acceleration,
      start: host.start,
      folder: room,
      name: arch,
      uuid: randomUUID(),
      mac: MAC,
      memoryMiB: 1024,
      cpus: 2,
      disks: await makeDisks(room),
      forwards: [
        { host: agentPort, guest: 9999 },
        { host: sshPort, guest: 22 },
      ],
      netboot: await prepareNetboot(join(room, 'tftp'), tools, row, publicUrl),
    });
    cleanup.defer(() => machine.close());
    const bmc = await startBmc(new Map([[arch, stayingOn(machine)]]), { username: 'admin', password: 'x' });
    cleanup.defer(() => bmc.close());
    const conductor = await startConductor(
      [
        ['--port', String(conductorPort), '--state-dir', join(room, 'conductor'), '--public-url', publicUrl],
        ['--deploy-kernel', `${nameOf(arch)}.kernel`, '--deploy-ramdisk', `${nameOf(arch)}.initramfs`],
        ['--kernel-append', `nomodeset console=tty0 console=${row.console}`],
      ].flat(),
      { start: host.start, log: join(room, 'conductor.log'), signal },
    );
    cleanup.defer(() => conductor.stop());
    api = conductor.url;
    const hash = await hashPassword(host, passwords.root, 'rootpwd', signal);
    const parameters = [
      // An inspection by itself has no API to beat to.
      `ipa-api-url=${publicUrl}`,
      `ipa-advertise-host=127.0.0.1 ipa-advertise-port=${agentPort}`,
      `sshkey="${key.publicText}" rootpwd=${hash}`,
    ];
    const create = [
      ['node', 'create', arch, '--redfish-address', bmc.url, '--redfish-system-id', `/redfish/v1/Systems/${arch}`],
      ['--redfish-username', 'admin', '--mac', MAC, '--kernel-append', parameters.join(' ')],
    ].flat();
    await ingot(...create);
  });
  afterAll(() => cleanup.disposeAsync());

  test('boots over the network, and the conductor reads the machine’s inventory', async () => {
    await ingot('node', 'inspect', arch).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${machine.serial.tail(30).join('\n')}`);
    });
    const answer = await fetch(`${api}/v1/nodes/${arch}/inventory`, { signal });
    const { inventory } = (await answer.json()) as { inventory: Inventory };
    expect(inventory.cpu).toMatchObject({ architecture: arch, count: 2 });
    expect(inventory.memory.physical_mb).toBe(1024);
    expect(inventory.boot).toMatchObject({
      current_boot_mode: 'uefi',
      pxe_interface: MAC,
    });
    expect(inventory.interfaces).toEqual([expect.objectContaining({ mac_address: MAC, has_carrier: true })]);
    const disks = inventory.disks.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    expect(disks.map(({ name, serial, size }) => ({ name, serial, size }))).toEqual([
      { name: '/dev/nvme0n1', serial: 'LAB-NVME-2', size: 6 * GIB },
      { name: '/dev/vda', serial: 'LAB-VIRTIO-1', size: 5 * GIB },
    ]);
    expect(inventory.system_vendor).toMatchObject({ manufacturer: 'Ingot', product_name: 'lab' });
  });

  test.each(['devuser', 'root'] as const)('lets %s log in with a password on the serial console', async (user) => {
    const dialog = await openDialog(machine.consoleSocket);
    try {
      dialog.send('');
      await dialog.expect(/login: /, PATIENCE_SECONDS);
      dialog.send(user);
      await dialog.expect(/Password: /, PATIENCE_SECONDS);
      dialog.send(passwords[user]);
      // What is typed before the shell asks for it is thrown away.
      await dialog.expect(/[$#] /, PATIENCE_SECONDS);
      // What is typed is shown, too, but not what it comes to.
      dialog.send('echo "I am $(id -un), this is $(uname -m)"; exit');
      const [, answer] = await dialog.expect(/(I am \w+, this is \w+)\n/, PATIENCE_SECONDS);
      expect(answer).toBe(`I am ${user}, this is ${arch}`);
    } finally {
      dialog.close();
    }
  });

  test('lets root log in over SSH with the key of sshkey=, and without it nobody', async () => {
    const target = { port: sshPort, user: 'root', key };
    const answer = await sshWhenReady(target, 'id -un; uname -m', {
      run: host.run,
      signal,
      timeoutSeconds: PATIENCE_SECONDS,
    });
    expect(answer).toBe(`root\n${arch}\n`);
    const other = await makeSshKey(await mkdtemp(join(folder, 'other-')), host.run, signal);
    await expect(ssh({ ...target, key: other }, 'true', host.run, signal)).rejects.toThrow(/Permission denied/);
  });

  test('heartbeats to the conductor, which has it do a step', async () => {
    const disk = machine.hardware.disks[0]?.path ?? '';
    await writeFile(disk, randomBytes(512), { flag: 'r+' });
    await ingot('node', 'clean', arch, '--steps', '[{"interface": "deploy", "step": "erase_devices_metadata"}]');
    const node = (await (await fetch(`${api}/v1/nodes/${arch}`, { signal })).json()) as { provision_state: string };
    expect(node.provision_state).toBe('manageable');
  });
});

/** Waits until a process has shown something on its standard output. @returns all that it has shown until then */
function untilShown(output: NodeJS.ReadableStream | null, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let shown = '';
    output?.on('data', (piece: Buffer) => {
      shown += piece.toString();
      if (pattern.test(shown)) resolve(shown);
    });
    output?.once('end', () => reject(new Error(`${pattern} was never shown:\n${shown}`)));
  });
}

describe('build-ramdisk boot', () => {
  const boot = (arch: string) => ['bin/build-ramdisk.mjs', 'boot', nameOf(arch), '--disk', '1G'];

  test.each(ARCHITECTURE_NAMES)('starts the ramdisk for %s, and Ctrl-C leaves no process and no file', async (arch) => {
    const own = await mkdtemp(join(folder, 'tmp-'));
    const program = systemStart(process.execPath, boot(arch), {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
      env: { TMPDIR: own },
    });
    const exit = once(program, 'exit');
    await untilShown(program.stdout, /Linux version .*\n/);
    expect((await processesNaming(own)).join('\n')).toContain('qemu-system');
    // A terminal sends it to all that run in front of it.
    process.kill(-(program.pid ?? 0), 'SIGINT');
    expect(await exit).toEqual([130, null]);
    expect(await processesNaming(nameOf(arch))).toEqual([]);
    expect(await readdir(own)).toEqual([]);
  });
});
