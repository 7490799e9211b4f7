import { chmod, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, test } from 'vitest';

import type { CommandResult } from '../../agent/api/command.ts';
import type { Heartbeat } from '../../agent/api/ironic.ts';
import { findQemuMachine } from '../../arch/qemu.ts';
import { buildRamdisk } from '../../builder/build.ts';
import { openHost } from '../../builder/host/system.ts';
import { qemuTools } from '../../builder/tools.ts';
import { createProgress } from '../../cli/progress.ts';
import { chooseAcceleration } from '../../machine/acceleration.ts';
import { bootArguments } from '../../machine/boot.ts';
import { ownedCommand } from '../../machine/owned.ts';
import { freePorts } from '../../machine/ports.ts';
import { systemRun, systemStart } from '../../system/run.ts';
import { type FakeIronic, NODE_UUID, startFakeIronic } from '../fakes/ironic.ts';
import { callAgent } from '../lab/agent-call.ts';
import { PATIENCE_SECONDS } from '../lab/conducted.ts';
import { type Dialog, openDialog } from '../lab/dialog.ts';

// What only a real ramdisk can show of the agent's commands, in one boot: the plug-in of the documentation, the logs while it runs,
// and a rescue with a real login at its end.

const PASSWORD = 'tell nobody';
const controller = new AbortController();
const { signal } = controller;
const progress = createProgress('lines', { write: (text) => process.stdout.write(text) });

let folder: string;
let ironic: FakeIronic;
let beat: Heartbeat;
let sshPort: number;
let dialog: Dialog;
const cleanup: (() => unknown)[] = [];

const call = (path: string, body?: object) => callAgent(beat, path, body);
const command = async (name: string, params: object = {}, wait = true) =>
  (await call(`/v1/commands/?wait=${wait}`, { name, params })) as CommandResult;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-live-commands-'));
  const host = await openHost({});
  const ramdisk = join(folder, 'ramdisk');
  await buildRamdisk({
    host,
    arch: 'x86_64',
    elements: ['agent', 'openssh-server', 'acme-firmware'],
    elementsPath: ['docs/examples/steps'],
    compress: 'zstd:3',
    output: ramdisk,
    progress,
    signal,
  });
  const machine = findQemuMachine('x86_64');
  if (machine === undefined) throw new Error('no such machine');
  const tools = await qemuTools(host, machine, { progress, signal });
  const probe = { tools, machine, start: systemStart, signal };
  const { acceleration } = await chooseAcceleration(`${ramdisk}.kernel`, host.cache, probe);
  const [agentPort = 0, ssh = 0] = await freePorts(2);
  sshPort = ssh;
  ironic = await startFakeIronic();
  cleanup.push(() => ironic.close());
  const disk = join(folder, 'disk.raw');
  await writeFile(disk, '');
  await truncate(disk, 5 * 2 ** 30);
  const append = [
    `ipa-api-url=${ironic.url.replace('127.0.0.1', '10.0.2.2')}`,
    `ipa-advertise-host=127.0.0.1 ipa-advertise-port=${agentPort}`,
  ].join(' ');
  const args = bootArguments(
    { machine, tools, acceleration },
    { kernel: `${ramdisk}.kernel`, initramfs: `${ramdisk}.initramfs`, append },
    {
      cpus: 2,
      memoryMiB: 768,
      disks: [{ path: disk, kind: 'virtio', serial: 'LAB-VIRTIO-1' }],
      forwards: [
        { host: agentPort, guest: 9999 },
        { host: sshPort, guest: 22 },
      ],
      uefi: false,
    },
    false,
  );
  // One types at this console.
  const socket = join(folder, 'console');
  const typed = args.map((arg) =>
    arg === 'stdio,id=console'
      ? `socket,id=console,path=${socket},server=on,wait=off,logfile=${folder}/serial.log`
      : arg,
  );
  const { file, args: words, env } = tools.command(machine.program, typed);
  const owned = ownedCommand(file, words);
  const child = systemStart(owned.file, owned.args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  cleanup.push(() => child.kill('SIGKILL'));
  const first = ironic.next(({ path }) => path.startsWith('/v1/heartbeat/'));
  dialog = await (async () => {
    for (;;) {
      try {
        return await openDialog(socket);
      } catch {
        await sleep(100, undefined, { signal });
      }
    }
  })();
  cleanup.push(() => dialog.close());
  beat = (await first).body as Heartbeat;
});

afterAll(async () => {
  controller.abort();
  for (const undo of cleanup.toReversed()) await undo();
  await rm(folder, { recursive: true, force: true });
});

const node = { uuid: NODE_UUID };
const isBeat = ({ path }: { path: string }) => path === `/v1/heartbeat/${NODE_UUID}`;
const STEP = { step: 'update_acme_firmware', interface: 'deploy', args: { version: '2.1' } };

test('a plug-in of an element is listed and run, and the logs are there while it runs', async () => {
  const { command_result: list } = await command('service.get_service_steps', { node, ports: [] });
  expect(list).toMatchObject({
    service_steps: { 'acme-firmware': [{ step: STEP.step, reboot_requested: true }] },
    hardware_manager_version: { generic_hardware_manager: '1.2', 'acme-firmware': '1.0' },
  });
  const started = await command('service.execute_service_step', { step: STEP, node, ports: [] }, false);
  expect(started.command_status).toBe('RUNNING');
  const logs = await command('log.collect_system_logs');
  const ended = (await call(`/v1/commands/${started.id}?wait=true`)) as CommandResult;
  expect(ended.command_result).toEqual({
    service_result: 'the firmware was missing and is 2.1',
    service_step: STEP,
  });
  const { commands } = (await call('/v1/commands/')) as { commands: CommandResult[] };
  expect(commands.map(({ command_name }) => command_name)).toEqual(['get_service_steps', 'execute_service_step']);

  const archive = join(folder, 'logs.tar.gz');
  const read = async (name: string) => (await systemRun('tar', ['-xzOf', archive, name])).stdout;
  const keep = async ({ command_result }: CommandResult) =>
    writeFile(archive, Buffer.from((command_result as { system_logs: string }).system_logs, 'base64'));
  await keep(logs);
  // The agent gives all sources together 20 s, which a machine on a busy host may not make at the first time.
  for (
    let attempt = 1;
    attempt < 5 && /^(?:dmesg|lsblk|udev|run\/ingot\/(?:boot|agent)\.log): /m.test(await read('ingot-gaps'));
    attempt += 1
  )
    await keep(await command('log.collect_system_logs'));
  const journal = await read('journal');
  for (const line of [/kernel: Linux version/, /init: starting the agent/, /agent: plug-in acme-firmware 1\.0/])
    expect(journal).toMatch(line);
  expect(JSON.parse(await read('udev/vda'))).toMatchObject({ DEVNAME: '/dev/vda', ID_SERIAL: 'LAB-VIRTIO-1' });
  expect(await read('lsblk')).toContain('LAB-VIRTIO-1');
  expect(await read('ingot-gaps')).toMatch(/^lshw: /m);
  expect(journal + (await read('dmesg'))).not.toContain(beat.agent_token);
});

test('a rescue: the agent answers and is gone, and the user rescue logs in on the console and by SSH', async () => {
  const { stdout: hash } = await systemRun('openssl', ['passwd', '-6', PASSWORD]);
  // The step before has forced a beat, which is on its way or has come; none does after the command.
  while (ironic.seen.filter(isBeat).length < 2) await sleep(100, undefined, { signal });
  const before = ironic.seen.length;
  const answer = await command('rescue.finalize_rescue', { rescue_password: hash.trim(), hashed: true }, false);
  expect(answer).toMatchObject({ command_status: 'SUCCEEDED', command_result: null });
  await dialog.expect(/this machine is rescued/, PATIENCE_SECONDS);
  await expect(call('/v1/commands/')).rejects.toThrow(/ECONN|hang up|disconnected/);
  await dialog.expect(/rescue: log in/, PATIENCE_SECONDS);
  dialog.send('');
  await dialog.expect(/login: /, PATIENCE_SECONDS);
  dialog.send('rescue');
  await dialog.expect(/Password: /, PATIENCE_SECONDS);
  dialog.send(PASSWORD);
  await dialog.expect(/[$#] /, PATIENCE_SECONDS);
  const [, said] = await dialog.ask(
    'echo I am $(sudo -n id -u) of $(ls /etc/.rescued)',
    /I am (\d+ of \S+)\n/,
    PATIENCE_SECONDS,
  );
  expect(said).toBe('0 of /etc/.rescued');

  const askpass = join(folder, 'askpass');
  await writeFile(askpass, `#!/bin/sh\necho '${PASSWORD}'\n`);
  await chmod(askpass, 0o700);
  const options = [
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'LogLevel=ERROR',
    'PubkeyAuthentication=no',
  ];
  const { stdout } = await systemRun(
    'ssh',
    [
      '-F',
      'none',
      '-p',
      String(sshPort),
      ...options.flatMap((one) => ['-o', one]),
      'rescue@127.0.0.1',
      'ip -4 -o addr show scope global',
    ],
    { env: { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force' }, timeoutMs: PATIENCE_SECONDS * 1000 },
  );
  expect(stdout).toContain('10.0.2.');
  expect(ironic.seen.slice(before).filter(isBeat)).toEqual([]);
});
