import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { createCertificate } from '../../../agent/ironic/certificate.ts';
import { openBlockDevice } from '../../../agent/os/block-device.ts';
import { systemRun, systemStart } from '../../../system/run.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { startForwardProxy } from '../../fakes/forward-proxy.ts';
import { type ImageServer, type ServerBehaviour, startImageServer } from '../../fakes/image-server.ts';
import { type LoopDevice, makeLoopDevice } from '../../fakes/loop-device.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { sha256 } from '../image/delivery.ts';

/** The program as people start it, each time a process of its own, on files and on loop devices of such files; nothing else is written to. */
const MIB = 1024 ** 2;
const DISK_BYTES = 24 * MIB;
const LONG_MS = 120_000;
const image = makeGuest(16 * MIB, 11);
const CHECKSUM = ['--checksum', `sha256:${sha256(image)}`];
const WRONG = ['--checksum', `sha256:${'0'.repeat(64)}`];

let folder = '';
let loop: LoopDevice | undefined;
let server: ImageServer | undefined;
const children: ReturnType<typeof systemStart>[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-write-image-'));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await server?.close();
  server = undefined;
  await loop?.close();
  loop = undefined;
});

async function serve(behave: (index: number) => Partial<ServerBehaviour> = () => ({})): Promise<string> {
  server = await startImageServer((index) => ({ content: image, etag: '"1"', ...behave(index) }));
  return server.url;
}

type Ended = { code: number | null; stdout: string; stderr: string };

function start(
  words: readonly string[],
  env: Record<string, string> = {},
): { child: (typeof children)[number]; ended: Promise<Ended>; said: () => string } {
  const [file = '', ...args] = words;
  const child = systemStart(file, args, { env });
  children.push(child);
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr?.on('data', (text: Buffer) => (stderr += text.toString()));
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended, said: () => stdout + stderr };
}

const PROGRAM = [process.execPath, 'agent/main.ts', 'write-image'];
const writeImage = (args: readonly string[], env?: Record<string, string>) => start([...PROGRAM, ...args], env).ended;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** A used disk with a partition table, as a block device of the kernel. */
async function usedLoop(skip: (why: string) => never): Promise<LoopDevice> {
  loop = await makeLoopDevice(DISK_BYTES, 512);
  if (!loop) return skip('there are no loop devices here: that takes root, and a kernel that has some left');
  await systemRun('sgdisk', ['--clear', '-n', '1:0:0', loop.file.path], { okExitCodes: [0, 2, 3] });
  return loop;
}

async function bootsNothing({ content }: Pick<DiskFile, 'content'>): Promise<boolean> {
  const bytes = await content();
  const zeros = Buffer.alloc(MIB);
  return bytes.subarray(0, MIB).equals(zeros) && bytes.subarray(-MIB).equals(zeros);
}
const hasImage = async ({ content }: Pick<DiskFile, 'content'>) =>
  (await content()).subarray(0, image.length).equals(image);

describe('a server that wants to know who asks', () => {
  const at127 = { host: '127.0.0.1', curve: 'p256', times: [Date.now()] } as const;
  const [own, client] = ['server', 'client'].map((commonName) => createCertificate({ ...at127, commonName }));
  if (!own || !client) throw new Error('no certificates');

  test(
    'is asked by TLS with own authorities, a client certificate, user and password, through a proxy',
    async () => {
      const tls = { cert: own.certificate, key: own.key, ca: client.certificate };
      const login = `Basic ${Buffer.from('me:s3cret').toString('base64')}`;
      server = await startImageServer(
        (_, { headers }) =>
          headers.authorization === login ? { content: image, etag: '"1"' } : { content: image, status: 401 },
        { ...tls, requestCert: true, rejectUnauthorized: true },
      );
      const proxy = await startForwardProxy();
      const disk = await makeDiskFile(DISK_BYTES);
      const files = { ca: own.certificate, cert: client.certificate, key: client.key };
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
      const file = (name: keyof typeof files) => [`--${name}`, join(folder, name)];
      const shared = [server.url, disk.path, ...CHECKSUM, '--retries', '0', '--json'];
      const user = { INGOT_IMAGE_USER: 'me', INGOT_IMAGE_PASSWORD: 's3cret' };
      const everything = [...shared, ...file('ca'), ...file('cert'), ...file('key'), '--proxy', proxy.url];
      const [strange, nameless, loggedOut, good] = await Promise.all([
        writeImage([...shared, '--dry-run'], user),
        writeImage([...shared, ...file('ca'), '--dry-run'], user),
        writeImage([...everything, '--dry-run']),
        writeImage(everything, user),
      ]);
      expect([strange.code, nameless.code, loggedOut.code, good.code]).toEqual([3, 3, 3, 0]);
      expect(strange.stderr).toMatch(/certificate/);
      expect(nameless.stderr).toMatch(/certificate/);
      expect(loggedOut.stderr).toContain('401');
      expect(JSON.parse(good.stdout)).toMatchObject({ device: disk.path, verified: true });
      expect(await hasImage(disk)).toBe(true);
      expect(proxy.asked[0]).toBe(`CONNECT ${new URL(server.url).host}`);
      for (const { stdout, stderr } of [strange, nameless, loggedOut, good])
        expect(stdout + stderr).not.toContain('s3cret');
      await proxy.close();
      await disk.close();
    },
    LONG_MS,
  );
});

describe('the exit code says what became of the device', () => {
  test(
    '0 after a dry run, and the device is as it was; 0 when it was written',
    async ({ skip }) => {
      const { path, file } = await usedLoop(skip);
      const before = await file.content();
      const url = await serve();
      const dry = await writeImage([url, path, ...CHECKSUM, '--dry-run', '--json']);
      expect(dry.code).toBe(0);
      expect(JSON.parse(dry.stdout)).toMatchObject({
        dry_run: true,
        target: { path, kind: 'block device', sizeBytes: DISK_BYTES, sectorBytes: 512, refusals: [] },
        image: { format: 'raw', imageBytes: image.length },
      });
      expect((await file.content()).equals(before)).toBe(true);
      const written = await writeImage([url, path, ...CHECKSUM, '--json', '--verify', 'full']);
      expect({ code: written.code, result: JSON.parse(written.stdout) as unknown }).toMatchObject({
        code: 0,
        result: { device: path, format: 'raw', imageBytes: image.length, verified: true, readBack: { level: 'full' } },
      });
      const events = written.stderr
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { phase?: string });
      expect(events.map(({ phase }) => phase)).toContain('write image');
      expect(await hasImage(file)).toBe(true);
    },
    LONG_MS,
  );

  test(
    '2 when the command line makes no sense',
    async () => {
      const { code, stdout, stderr } = await writeImage(['https://images.example/disk.raw', '/dev/null']);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain('without --checksum');
    },
    LONG_MS,
  );

  test(
    '3 when the device is mounted here, mounted elsewhere, or held, and it is as it was',
    async ({ skip }) => {
      const { path, file } = await usedLoop(skip);
      await systemRun('mkfs.ext4', ['-q', '-F', path]);
      await systemRun('sync', []);
      const url = await serve();
      const mountPoint = join(folder, 'mount');
      await systemRun('mkdir', [mountPoint]);
      // Mounts in namespaces of their own end with their last process.
      const mounted = (then: string, ...rest: string[]) =>
        start([
          'unshare',
          '--mount',
          'sh',
          '-c',
          `mount -o ro "$1" "$2" && shift 2 && ${then}`,
          'sh',
          path,
          mountPoint,
          ...rest,
        ]);
      const before = await file.content();
      const here = await mounted('exec "$@"', ...PROGRAM, url, path, ...CHECKSUM).ended;
      expect(here).toMatchObject({ code: 3, stdout: '' });
      expect(here.stderr).toContain(`${path.slice(5)} is mounted at ${mountPoint}; it was not touched`);
      const elsewhere = mounted('echo mounted && exec sleep 300');
      await until(() => elsewhere.said().includes('mounted'));
      const there = await writeImage([url, path, ...CHECKSUM]);
      elsewhere.child.kill('SIGKILL');
      await elsewhere.ended;
      expect(there).toMatchObject({ code: 3, stderr: expect.stringContaining('it is in use (mounted') as unknown });
      const holder = await openBlockDevice(path, 'write');
      const held = await writeImage([url, path, ...CHECKSUM]);
      await holder.close();
      expect(held).toMatchObject({ code: 3, stderr: expect.stringContaining('stop what uses it') as unknown });
      const attached = await writeImage([url, file.path, ...CHECKSUM]);
      expect(attached).toMatchObject({ code: 3, stderr: expect.stringContaining(`attached as ${path}`) as unknown });
      expect((await file.content()).equals(before)).toBe(true);
    },
    LONG_MS,
  );

  test(
    '4 when the checksum is wrong, and the device boots nothing',
    async ({ skip }) => {
      const { path, file } = await usedLoop(skip);
      const { code, stdout, stderr } = await writeImage([await serve(), path, ...WRONG]);
      expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
      expect(stderr).toContain(`the partition table of ${path} was cleared`);
      expect(await bootsNothing(file)).toBe(true);
    },
    LONG_MS,
  );

  test(
    '5 when the device fails so that even its ends cannot be cleared',
    async () => {
      const disk = await makeDiskFile(DISK_BYTES);
      // Writes behind this place fail with EFBIG, as those to a broken part of a disk fail with EIO.
      const limited = ['prlimit', `--fsize=${DISK_BYTES - MIB / 2}`, ...PROGRAM];
      const { code, stdout, stderr } = await start([...limited, await serve(), disk.path, ...CHECKSUM]).ended;
      expect({ code, stdout }).toEqual({ code: 5, stdout: '' });
      expect(stderr).toMatch(/cannot write \S+ at LBA \d+ to \d+ .*could not be cleared/s);
      expect(await hasImage(disk)).toBe(false);
      await disk.close();
    },
    LONG_MS,
  );

  test(
    '130 on Ctrl-C in the middle, and the device boots nothing',
    async ({ skip }) => {
      const { path, file } = await usedLoop(skip);
      const url = await serve((index) => (index === 0 ? {} : { stallAfter: 8 * MIB }));
      const { child, ended, said } = start([...PROGRAM, url, path, ...CHECKSUM]);
      await until(() => said().includes('write image'));
      child.kill('SIGINT');
      const { code, stdout, stderr } = await ended;
      expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
      expect(stderr).toContain(`the partition table of ${path} was cleared`);
      expect(await bootsNothing(file)).toBe(true);
      // Bytes of the image are there: it was in the middle.
      expect((await file.content()).subarray(MIB, 2 * MIB).equals(image.subarray(MIB, 2 * MIB))).toBe(true);
    },
    LONG_MS,
  );
});
