import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ARCHITECTURE_NAMES } from '../../arch/table.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { openHost } from '../../builder/host/system.ts';
import { hashPassword } from '../../builder/password.ts';
import { createProgress, type Progress } from '../../cli/progress.ts';
import { judgeEvidence } from '../../evidence/judge.ts';
import { systemStart } from '../../system/run.ts';
import {
  CONDUCTED_DISKS,
  CONDUCTED_MAC,
  type ConductedMachine,
  conductMachine,
  logInOnConsole,
  PATIENCE_SECONDS,
} from '../lab/conducted.ts';
import { runProgramJson } from '../lab/demo/programs.ts';
import { processesNaming } from '../lab/processes.ts';
import { makeSshKey, ssh, type SshKey, sshWhenReady } from '../lab/ssh.ts';

// Ramdisks for all architectures, each booted over the network (firmware, TFTP, iPXE, HTTP) in a machine with 1 GiB by the real
// conductor, which reads its inventory and has a step done; in between, people log in. One boot for each: they take a minute.

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

describe.each(ARCHITECTURE_NAMES)('the ramdisk for %s', (arch) => {
  let conducted: ConductedMachine;

  beforeAll(async () => {
    const hash = await hashPassword(host, passwords.root, 'rootpwd', signal);
    const parameters = [`sshkey="${key.publicText}" rootpwd=${hash}`];
    const ramdisk = nameOf(arch);
    conducted = await conductMachine({
      host,
      arch,
      ramdisk,
      folder: join(folder, arch),
      parameters,
      progress,
      signal,
    });
  });
  afterAll(() => conducted[Symbol.asyncDispose]());

  test('boots over the network, and the conductor reads the machine’s inventory', async () => {
    const inventory = await conducted.inspect();
    expect(inventory.cpu).toMatchObject({ architecture: arch, count: 2 });
    expect(inventory.memory.physical_mb).toBe(1024);
    expect(inventory.boot).toMatchObject({
      current_boot_mode: 'uefi',
      pxe_interface: CONDUCTED_MAC,
    });
    expect(inventory.interfaces).toEqual([expect.objectContaining({ mac_address: CONDUCTED_MAC, has_carrier: true })]);
    const disks = inventory.disks.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    expect(disks.map(({ name, serial, size }) => ({ name, serial, size }))).toEqual(CONDUCTED_DISKS);
    expect(inventory.system_vendor).toMatchObject({ manufacturer: 'Ingot', product_name: 'lab' });
  });

  test.each(['devuser', 'root'] as const)('lets %s log in with a password on the serial console', async (user) => {
    // What is typed is shown, too, but not what it comes to.
    const command = 'echo I am $(id -un), this is $(uname -m)';
    const login = { user, password: passwords[user] };
    const [, answer] = await logInOnConsole(conducted.machine, login, command, /(I am \w+, this is \w+)\n/);
    expect(answer).toBe(`I am ${user}, this is ${arch}`);
  });

  test('lets root log in over SSH with the key of sshkey=, and without it nobody', async () => {
    const target = { port: conducted.sshPort, user: 'root', key };
    const answer = await sshWhenReady(target, 'id -un; uname -m', {
      run: host.run,
      signal,
      timeoutSeconds: PATIENCE_SECONDS,
    });
    expect(answer).toBe(`root\n${arch}\n`);
    const other = await makeSshKey(await mkdtemp(join(folder, 'other-')), host.run, signal);
    await expect(ssh({ ...target, key: other }, 'true', host.run, signal)).rejects.toThrow(/Permission denied/);
  });

  test('heartbeats to the conductor, which has it do a step and keeps the evidence of it', async () => {
    const disk = conducted.machine.hardware.disks[0]?.path ?? '';
    await writeFile(disk, randomBytes(512), { flag: 'r+' });
    await conducted.ingot(
      'node',
      'clean',
      arch,
      '--steps',
      '[{"interface": "deploy", "step": "erase_devices_metadata"}]',
    );
    const node = (await (await fetch(`${conducted.api}/v1/nodes/${arch}`, { signal })).json()) as {
      provision_state: string;
      driver_internal_info: { ingot_evidence: string };
    };
    expect(node.provision_state).toBe('manageable');
    const evidence = judgeEvidence(await readFile(node.driver_internal_info.ingot_evidence, 'utf8'));
    expect(evidence).toMatchObject({ faults: [], receipts: 1 });
    expect(evidence.records.map(({ disk, category }) => `${disk.path} ${category}`).toSorted()).toEqual(
      CONDUCTED_DISKS.map(({ name }) => `${name} none`),
    );
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
