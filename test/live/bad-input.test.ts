import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { CommandResult } from '../../agent/api/command.ts';
import type { Heartbeat } from '../../agent/api/ironic.ts';
import { machineParameters } from '../../arch/qemu.ts';
import { openHost } from '../../builder/host/system.ts';
import { createProgress } from '../../cli/progress.ts';
import { type AgentClient, connectAgent } from '../../conductor/drive/agent-client.ts';
import { systemClock } from '../../conductor/os/system.ts';
import { type FakeIronic, NODE_UUID, startFakeIronic, TOKEN } from '../fakes/ironic.ts';
import { type ImageServer, type ServerBehaviour, startImageServer } from '../fakes/image-server.ts';
import type { MachineDisk } from '../../machine/arguments.ts';
import { freePorts } from '../../machine/ports.ts';
import { prepareRamdisk, type RamdiskLab } from '../lab/demo/prepare.ts';
import { createSteps } from '../lab/demo/steps.ts';
import { createMachine, type Machine } from '../lab/machine.ts';
import { HOST_SEEN_BY_GUEST, prepareNetboot } from '../lab/netboot.ts';

// One machine boots the ramdisk that build-ramdisk made. A conductor that does everything wrong talks to its agent; after
// each mistake the disks are read from outside of the machine.

const MIB = 2 ** 20;
const TARGET = 'LAB-TARGET';
const MAC = '52:54:00:ba:d1:07';
const IMAGE_BYTES = 32 * MIB;

let folder: string;
let lab: RamdiskLab;
let ironic: FakeIronic;
let boot: Server;
let machine: Machine;
let agent: AgentClient;
let callbackUrl: string;
let certificate: string;
let image: Buffer;
let sha256: string;
let images: ImageServer;
let behave: () => ServerBehaviour;
const disks = new Map<string, MachineDisk>();
const controller = new AbortController();

async function makeDisk(serial: string, kind: MachineDisk['kind'], sizeMiB: number): Promise<void> {
  const path = join(folder, `${serial}.raw`);
  // Random, so that a disk that was written to, or only cleared, cannot look as it did.
  await writeFile(path, randomBytes(sizeMiB * MIB));
  disks.set(serial, { path, kind, serial });
}

const diskPath = (serial: string) => disks.get(serial)?.path ?? '';
const digestOf = async (serial: string) =>
  createHash('sha256')
    .update(await readFile(diskPath(serial)))
    .digest('hex');

async function readDisk(serial: string, position: number, length: number): Promise<Buffer> {
  const file = await open(diskPath(serial), 'r');
  try {
    const buffer = Buffer.alloc(length);
    await file.read(buffer, 0, length, position);
    return buffer;
  } finally {
    await file.close();
  }
}

/** A disk image with a GPT and one partition of random bytes. */
async function makeImage(): Promise<Buffer> {
  const path = join(folder, 'image.raw');
  await writeFile(path, Buffer.alloc(IMAGE_BYTES));
  await lab.tools.run('/usr/sbin/sgdisk', ['-n', '1:2048:0', '-t', '1:8300', path]);
  const bytes = await readFile(path);
  randomBytes(8 * MIB).copy(bytes, 4 * MIB);
  return bytes;
}

function bootServer(): Promise<Server> {
  const { kernel, initramfs } = lab.ramdisk;
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/boot/ipxe/')) {
      const base = `http://${HOST_SEEN_BY_GUEST}:${(server.address() as AddressInfo).port}/files`;
      const parameters = [
        `ipa-api-url=${ironic.url.replace('127.0.0.1', HOST_SEEN_BY_GUEST)} BOOTIF=01-${MAC.replaceAll(':', '-')}`,
        `${machineParameters(lab.machine)} quiet ipa-advertise-host=127.0.0.1 ipa-advertise-port=${agentPort}`,
        'ipa-image-download-connection-timeout=4 ipa-image-download-connection-retries=1',
        'ipa-image-download-connection-retry-interval=1',
      ].join(' ');
      const name = basename(initramfs);
      response.end(
        `#!ipxe\nkernel ${base}/${basename(kernel)} initrd=${name} ${parameters}\ninitrd --name ${name} ${base}/${name}\nboot\n`,
      );
      return;
    }
    const file = [kernel, initramfs].find((path) => request.url === `/files/${basename(path)}`);
    if (file === undefined) response.writeHead(404).end();
    else createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

let agentPort = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-bad-'));
  const progress = createProgress('silent', process.stderr);
  // Quicker: nothing here is about size.
  const build = ['--compress', 'zstd:3'];
  const options = { host: await openHost(), folder, mirror: [], build, progress, signal: controller.signal };
  lab = await prepareRamdisk(
    options,
    createSteps(progress, controller.signal, () => []),
  );
  [agentPort = 0] = await freePorts(1);
  ironic = await startFakeIronic();
  boot = await bootServer();
  image = await makeImage();
  sha256 = createHash('sha256').update(image).digest('hex');
  images = await startImageServer(() => behave());
  await makeDisk('LAB-FIRST', 'virtio', 48);
  await makeDisk(TARGET, 'nvme', 64);
  await makeDisk('LAB-TWIN-A', 'virtio', 48);
  await makeDisk('LAB-TWIN-B', 'virtio', 48);
  machine = await createMachine({
    ...lab,
    start: options.host.start,
    folder: join(folder, 'machine'),
    name: 'bad-input',
    uuid: randomUUID(),
    mac: MAC,
    memoryMiB: 1024,
    cpus: 2,
    disks: [...disks.values()],
    forwards: [{ host: agentPort, guest: 9999 }],
    netboot: await prepareNetboot(
      join(folder, 'tftp'),
      lab.tools,
      lab.machine,
      `http://${HOST_SEEN_BY_GUEST}:${(boot.address() as AddressInfo).port}`,
    ),
  });
  const heartbeat = ironic.next(({ path }) => path.startsWith('/v1/heartbeat/'));
  await machine.powerOn('Pxe');
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`no heartbeat:\n${machine.serial.tail(40).join('\n')}`)), 900_000).unref();
  });
  const beat = (await Promise.race([heartbeat, late])).body as Heartbeat;
  callbackUrl = beat.callback_url;
  certificate = beat.agent_verify_ca ?? '';
  agent = connectAgent({ url: callbackUrl, token: TOKEN, certificate }, systemClock);
});

afterAll(async () => {
  controller.abort();
  await agent?.close();
  await machine?.close();
  await images?.close();
  await ironic?.close();
  boot?.closeAllConnections();
  boot?.close();
  await rm(folder, { recursive: true, force: true });
});

const node = (hints: Record<string, unknown>) => ({ uuid: NODE_UUID, properties: { root_device: hints } });

function writeStep(hints: Record<string, unknown> = { serial: TARGET }, info: Record<string, unknown> = {}) {
  const image_info = {
    id: 'image.raw',
    urls: [images.url.replace('127.0.0.1', HOST_SEEN_BY_GUEST)],
    disk_format: 'raw',
    os_hash_algo: 'sha256',
    os_hash_value: sha256,
    stream_raw_images: true,
    ...info,
  };
  return {
    step: { step: 'write_image', interface: 'deploy', priority: 80, args: { image_info } },
    node: node(hints),
    ports: [],
    deploy_version: null,
  };
}

async function finished(): Promise<CommandResult> {
  for (;;) {
    const last = (await agent.listCommands()).at(-1);
    if (last !== undefined && last.command_status !== 'RUNNING') return last;
    await systemClock.sleep(300);
  }
}

async function write(hints?: Record<string, unknown>, info?: Record<string, unknown>): Promise<CommandResult> {
  await agent.execute('deploy.execute_deploy_step', writeStep(hints, info), { wait: false });
  return finished();
}

/** Every disk but those named must be, byte for byte, what it was before `work`. */
async function leavesAlone<T>(except: readonly string[], work: () => Promise<T>): Promise<T> {
  const others = [...disks.keys()].filter((serial) => !except.includes(serial));
  const before = await Promise.all(others.map(digestOf));
  const result = await work();
  expect(await Promise.all(others.map(digestOf))).toEqual(before);
  return result;
}

const isZero = (bytes: Buffer) => bytes.equals(Buffer.alloc(bytes.length));

/** Both places where firmware and kernel look for a partition table. */
async function expectNotBootable(): Promise<void> {
  expect(isZero(await readDisk(TARGET, 0, MIB))).toBe(true);
  expect(isZero(await readDisk(TARGET, 63 * MIB, MIB))).toBe(true);
}

describe('requests that make no sense', () => {
  test('a wrong token is refused', async () => {
    const stranger = connectAgent({ url: callbackUrl, token: 'x'.repeat(43), certificate }, systemClock);
    await expect(stranger.listCommands({ attempts: 1 })).rejects.toThrow('401 Unauthorized: Token invalid.');
    await expect(stranger.execute('deploy.execute_deploy_step', writeStep(), { wait: false })).rejects.toThrow('401');
    await stranger.close();
  });

  test('a server that shows another certificate is not talked to', async () => {
    const careful = connectAgent({ url: callbackUrl, token: TOKEN, certificate: undefined }, systemClock);
    await expect(careful.listCommands({ attempts: 1 })).rejects.toThrow(/certificate/);
    await careful.close();
  });

  test.each([
    ['deploy.format_everything', {}, /Unknown command: format_everything/],
    ['nonsense.deploy', {}, /Extension with id nonsense not found/],
    ['nodot', {}, /must be of the form/],
  ])('%s is refused by name', async (name, params, reason) => {
    await leavesAlone([], () => expect(agent.execute(name, params, { wait: false })).rejects.toThrow(reason));
  });

  test('an unknown parameter is a TypeError that names it', async () => {
    const result = await agent.execute(
      'clean.get_clean_steps',
      { node: node({}), ports: [], colour: 'red' },
      { wait: true },
    );
    expect(result.command_status).toBe('FAILED');
    expect(result.command_error?.type).toBe('TypeError');
    expect(JSON.stringify(result.command_error)).toContain('colour');
  });

  test('an unknown step fails by name', async () => {
    const request = { ...writeStep(), step: { step: 'write_everything', interface: 'deploy' } };
    await agent.execute('deploy.execute_deploy_step', request, { wait: false });
    const result = await finished();
    expect(result.command_error?.details).toContain('write_everything');
  });
});

describe('images that cannot be written leave every disk as it was', () => {
  test.each([
    ['there is no such image (404)', { status: 404 }, {}, /404/],
    ['its format is not what was said', {}, { disk_format: 'qcow2' }, /qcow2/],
    ['its checksum makes no sense', {}, { os_hash_value: 'abc' }, /abc|checksum|hash/i],
  ] as const)('%s', async (_, behaviour, info, reason) => {
    behave = () => ({ content: image, ...behaviour });
    const result = await leavesAlone([], () => write({ serial: TARGET }, info));
    expect(result.command_status).toBe('FAILED');
    expect(result.command_error?.details).toMatch(reason);
  });

  test('it is larger than the disk', async () => {
    const path = join(folder, 'large.qcow2');
    await lab.tools.run('/usr/bin/qemu-img', ['create', '-q', '-f', 'qcow2', path, '10G']);
    const content = await readFile(path);
    behave = () => ({ content });
    const os_hash_value = createHash('sha256').update(content).digest('hex');
    const result = await leavesAlone([], () => write({ serial: TARGET }, { disk_format: 'qcow2', os_hash_value }));
    expect(result.command_error?.details).toMatch(/10737418240 bytes, the disk has 67108864/);
  });

  test('no disk matches the hints: the answer lists the disks', async () => {
    behave = () => ({ content: image });
    const result = await leavesAlone([], () => write({ serial: 'LAB-NOWHERE' }));
    expect(result.command_error?.type).toBe('DeviceNotFound');
    for (const serial of disks.keys()) expect(result.command_error?.details).toContain(serial);
  });

  test('two disks match the hints: the answer names both and takes neither', async () => {
    const result = await leavesAlone([], () => write({ serial: '<in> TWIN' }));
    expect(result.command_error?.details).toMatch(/2 disks match.*LAB-TWIN-A.*LAB-TWIN-B/);
  });
});

describe('an image that turns out bad half-way leaves a disk that does not boot, and no other disk touched', () => {
  test('a wrong checksum', async () => {
    behave = () => ({ content: image });
    const result = await leavesAlone([TARGET], () => write({ serial: TARGET }, { os_hash_value: '0'.repeat(64) }));
    expect(result.command_error?.type).toBe('ImageChecksumError');
    expect(result.command_error?.details).toContain(sha256);
    await expectNotBootable();
  });

  test('a body that ends too early', async () => {
    behave = () => ({ content: image, etag: '"1"', dropAfter: 9 * MIB, withoutRange: true });
    const result = await leavesAlone([TARGET], () => write());
    expect(result.command_status).toBe('FAILED');
    expect(result.command_error?.type).toBe('ImageDownloadError');
    await expectNotBootable();
  });

  test('a server that stalls; meanwhile a second command is refused', async () => {
    behave = () => ({ content: image, stallAfter: 9 * MIB, withoutRange: true });
    const result = await leavesAlone([TARGET], async () => {
      await agent.execute('deploy.execute_deploy_step', writeStep(), { wait: false });
      await expect(agent.execute('standby.sync', {}, { wait: true })).rejects.toThrow(/busy/i);
      return finished();
    });
    expect(result.command_error?.type).toBe('ImageDownloadError');
    await expectNotBootable();
  });
});

test('after all that, a good image is written to the disk that the hints name, and nowhere else', async () => {
  behave = () => ({ content: image, etag: '"1"' });
  const result = await leavesAlone([TARGET], () => write());
  expect(result).toMatchObject({ command_status: 'SUCCEEDED', command_error: null });
  const written = await readDisk(TARGET, MIB, 30 * MIB);
  expect(written.equals(image.subarray(MIB, 31 * MIB))).toBe(true);
  expect((await readDisk(TARGET, 512, 8)).toString('latin1')).toBe('EFI PART');
  // The backup table was moved to the end of this larger disk.
  expect((await readDisk(TARGET, 64 * MIB - 512, 8)).toString('latin1')).toBe('EFI PART');
});
