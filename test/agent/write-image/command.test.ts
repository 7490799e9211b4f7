import { randomBytes } from 'node:crypto';
import { stat, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { createCertificate } from '../../../agent/ironic/certificate.ts';
import { writeImageCommand } from '../../../agent/write-image/command.ts';
import { showFailure } from '../../../cli/program.ts';
import { systemStart } from '../../../system/run.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { type ImageServer, type ServerBehaviour, startImageServer } from '../../fakes/image-server.ts';
import { startRegistry } from '../../fakes/oci-registry.ts';
import { makeGuest, makeQcow2 } from '../../fakes/qcow2.ts';
import { sha256 } from '../image/delivery.ts';

const MIB = 1024 ** 2;
const DISK_BYTES = 24 * MIB;
const image = makeGuest(16 * MIB, 11);
const zeros = Buffer.alloc(MIB);

let disk: DiskFile;
let server: ImageServer | undefined;
type Child = ReturnType<typeof systemStart>;
const children: Child[] = [];

beforeEach(async () => {
  disk = await makeDiskFile(DISK_BYTES);
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await server?.close();
  server = undefined;
  await disk.close();
});

async function serve(behave: (index: number, url: string) => Partial<ServerBehaviour>): Promise<string> {
  server = await startImageServer((index, request) => ({
    content: image,
    etag: '"1"',
    ...behave(index, request.url ?? ''),
  }));
  return server.url;
}

type Ended = { code: number | null; stdout: string; stderr: string };
type Running = { child: Child; ended: Promise<Ended>; said: () => string };

/** `ingot-agent write-image` as a process of its own. */
function start(args: readonly string[], env: Record<string, string> = {}): Running {
  const child = systemStart(process.execPath, ['agent/main.ts', 'write-image', ...args], { env });
  children.push(child);
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr?.on('data', (text: Buffer) => (stderr += text.toString()));
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended, said: () => stderr };
}

/** The same without a process of its own, which takes a second or more to start. */
async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const said = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof said) =>
    ({ write: (text: string) => (said[name] += text), on: () => undefined }) as unknown as NodeJS.WriteStream;
  const [stdout, stderr] = [stream('stdout'), stream('stderr')];
  const program = { argv: args, stdout, stderr, signal: new AbortController().signal };
  const code = await writeImageCommand
    .run(program)
    .catch((error: unknown) => showFailure(error, stderr, args.includes('--json')));
  vi.unstubAllEnvs();
  return { code, ...said };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

const isUntouched = async () => (await disk.content()).equals(disk.before);
const isCleared = async () => {
  const content = await disk.content();
  return content.subarray(0, MIB).equals(zeros) && content.subarray(-MIB).equals(zeros);
};

describe('ingot-agent write-image writes', () => {
  test('an image of a registry, which brings its own checksum', async () => {
    const tls = createCertificate({ host: '127.0.0.1', commonName: 'registry', curve: 'p256', times: [Date.now()] });
    const registry = await startRegistry(() => ({ login: 'token' }), { cert: tls.certificate, key: tls.key });
    const ca = join(dirname(disk.path), 'ca.pem');
    await writeFile(ca, tls.certificate);
    registry.addManifest({ artifactType: 'application/x-disk', layers: [{ digest: registry.addBlob(image) }] }, '12');
    const { code, stdout } = await run([`oci://${registry.host}/lab/disk:12`, disk.path, '--ca', ca]);
    await registry.close();
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('written and verified') as unknown });
    expect(stdout).toContain(`sha256:${sha256(image)}`);
  });

  test('a qcow2 image on a used disk, says what it hashed to, and leaves the file as long as it was', async () => {
    const file = makeQcow2({
      guest: image,
      clusterBits: 16,
      version: 3,
      compression: 'zlib',
      seed: 1,
      compressed: 0.5,
    });
    const url = await serve(() => ({ content: file }));
    const before = await stat(disk.path);
    const { code, stdout, stderr } = await start([url, disk.path, '--checksum', sha256(file)]).ended;
    expect(stderr).toContain('write image');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        new RegExp(
          `^written and verified: ${disk.path}\n  qcow2, .* for a disk of 16.8 MB, in .* s\n  read back: sample, .*\n  sha256:${sha256(file)}\n$`,
        ),
      ) as unknown,
    });
    const content = await disk.content();
    expect(content.subarray(0, image.length).equals(image)).toBe(true);
    const after = await stat(disk.path);
    expect([after.size, after.ino]).toEqual([before.size, before.ino]);
  });

  test('with the checksum from a file on the server, and from the second place when the first has nothing', async () => {
    const list = Buffer.from(`${sha256(randomBytes(9))}  other.raw\n${sha256(image)} *image.raw\n`);
    const url = await serve((_, asked) =>
      asked.endsWith('SUMS') ? { content: list } : asked.endsWith('/gone.raw') ? { status: 404 } : {},
    );
    const gone = url.replace('image.raw', 'gone.raw');
    const both = await run([gone, url, disk.path, '--checksum', sha256(image), '--json', '--quiet']);
    expect(JSON.parse(both.stdout)).toMatchObject({
      device: disk.path,
      format: 'raw',
      imageBytes: image.length,
      fileBytes: image.length,
      checksum: { algorithm: 'sha256', hex: sha256(image) },
      verified: true,
    });
    expect(both.code).toBe(0);
    const sums = `sha256:${url.replace('image.raw', 'SUMS')}`;
    const listed = await run([url, disk.path, '--checksum', sums, '--verify', 'full']);
    expect(listed).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/read back: full, 1[4-6]\.\d MB/) as unknown,
    });
    const path = join(dirname(disk.path), 'SUMS');
    await writeFile(path, list);
    for (const local of [path, `sha256:${path}`, `file://${path}`])
      expect(await run([url, disk.path, '--checksum', local])).toMatchObject({ code: 0 });
  });

  test('unverified only when that was said, and then it says so', async () => {
    const url = await serve(() => ({}));
    expect(await run([url, disk.path])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('without --checksum') as unknown,
    });
    expect(await isUntouched()).toBe(true);
    const { code, stdout } = await run([url, disk.path, '--checksum', 'none']);
    expect(code).toBe(0);
    expect(stdout).toContain('written, NOT verified');
    expect(stdout).toContain(`sha256:${sha256(image)} (what the file hashed to`);
  });

  test('a file of this machine, but not onto itself', async () => {
    const path = join(dirname(disk.path), 'image.raw');
    await writeFile(path, image);
    expect(await run([path, disk.path, '--checksum', sha256(image)])).toMatchObject({ code: 0 });
    expect((await disk.content()).subarray(0, image.length).equals(image)).toBe(true);
    const itself = await run([`file://${path}`, path, '--checksum', sha256(image)]);
    expect(itself).toMatchObject({ code: 3, stderr: expect.stringContaining('it is the image itself') as unknown });
  });

  test('to its end although nobody reads its progress any more', async () => {
    const url = await serve(() => ({}));
    const { child, ended } = start([url, disk.path, '--checksum', sha256(image), '--json']);
    child.stderr?.destroy();
    expect((await ended).code).toBe(0);
    expect((await disk.content()).subarray(0, image.length).equals(image)).toBe(true);
  });
});

describe('ingot-agent write-image logs in', () => {
  test('by environment or by a file, never by its command line', async () => {
    const url = await serve(() => ({}));
    const asked = async (args: string[], env: Record<string, string>) => {
      const { code } = await run([url, disk.path, '--checksum', sha256(image), '--dry-run', ...args], env);
      const { authorization, 'x-project': project } = server?.headers.at(-1) ?? {};
      return { code, authorization, project };
    };
    const basic = `Basic ${Buffer.from('me:s e:cret').toString('base64')}`;
    expect(await asked([], { INGOT_IMAGE_USER: 'me', INGOT_IMAGE_PASSWORD: 's e:cret' })).toEqual({
      code: 0,
      authorization: basic,
    });
    const path = join(dirname(disk.path), 'headers');
    await writeFile(path, '# for the mirror\nAuthorization: Bearer abc\nX-Project:  p1 \n\n');
    expect(await asked(['--header-file', path], {})).toEqual({ code: 0, authorization: 'Bearer abc', project: 'p1' });
    expect(await asked(['--header-file', path], { INGOT_IMAGE_AUTHORIZATION: 'Bearer env' })).toMatchObject({
      authorization: 'Bearer env',
    });
    await writeFile(path, 'a secret without a colon');
    const broken = await run([url, disk.path, '--checksum', 'none', '--header-file', path]);
    expect(broken.code).toBe(2);
    expect(broken.stderr).not.toContain('secret');
    const shown = await run([url.replace('://', '://me:secret@'), disk.path, '--checksum', 'none']);
    expect(shown.code).toBe(2);
    expect(shown.stderr).toContain('others can read command lines');
  });

  test('through a proxy', async () => {
    const url = await serve(() => ({}));
    const proxy = new URL(url).origin;
    // The server of the tests answers to any name, as a proxy does.
    const { code } = await run([
      'http://images.invalid/image.raw',
      disk.path,
      '--checksum',
      sha256(image),
      '--dry-run',
      '--proxy',
      proxy,
      '--retries',
      '0',
    ]);
    expect(code).toBe(0);
    expect(server?.requests[0]).toContain('image.raw');
  });
});

describe('ingot-agent write-image refuses, and touches nothing', () => {
  test.each([
    ['a checksum that is none', ['--checksum', 'sha256:abc'], 2, 'cannot use --checksum sha256:abc'],
    ['a hash algorithm that nobody knows', ['--checksum', `md17:${'0'.repeat(32)}`], 2, 'md17 is no hash algorithm'],
    ['MD5', ['--checksum', '0'.repeat(32)], 2, 'MD5 checksums are not allowed'],
    ['half a client certificate', ['--checksum', 'none', '--cert', 'x.pem'], 2, 'only make sense together'],
    ['a format that is not written', ['--checksum', 'none', '--format', 'vmdk'], 2, 'it is one of raw, qcow2'],
    // Every piece of the image would come too late, and the retries never end.
    ['no time to wait for the server', ['--checksum', 'none', '--stall', '0'], 2, 'from 1 to 2000000 is needed'],
    // Node's timers would end at once.
    ['more time than a timer has', ['--checksum', 'none', '--timeout', '99999999'], 2, 'from 0 to 2000000 is needed'],
    ['another format than was said', ['--checksum', 'none', '--format', 'qcow2'], 3, 'disk_format is qcow2'],
    ['authorities that cannot be read', ['--checksum', 'none', '--ca', '/nowhere/ca.pem'], 2, 'it cannot be read'],
  ])('%s', async (_, args, code, says) => {
    const url = await serve(() => ({}));
    const ended = await run([url, disk.path, ...args]);
    expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(says) as unknown });
    expect(await isUntouched()).toBe(true);
  });

  test('an image that is not there, or is larger than the disk', async () => {
    const url = await serve((_, asked) =>
      asked.endsWith('gone') ? { status: 404 } : { content: makeGuest(DISK_BYTES + 512, 5) },
    );
    const gone = await run([url.replace('image.raw', 'gone'), disk.path, '--checksum', 'none', '--json', '--quiet']);
    expect(gone.code).toBe(3);
    expect(JSON.parse(gone.stderr)).toMatchObject({
      event: 'error',
      code: 'ImageDownloadError',
      message: expect.stringContaining('404') as unknown,
    });
    const large = await run([url, disk.path, '--checksum', 'none']);
    expect(large).toMatchObject({ code: 3, stderr: expect.stringContaining('was not touched') as unknown });
    expect(await isUntouched()).toBe(true);
  });

  test('what is no disk: an empty file, a folder, nothing, a URL', async () => {
    const url = await serve(() => ({}));
    const empty = join(dirname(disk.path), 'empty');
    await writeFile(empty, '');
    expect(await run([url, empty, '--checksum', 'none'])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('empty file') as unknown,
    });
    expect((await stat(empty)).size).toBe(0);
    expect((await run([url, dirname(disk.path), '--checksum', 'none'])).code).toBe(3);
    expect((await run([url, `${disk.path}.not`, '--checksum', 'none'])).code).toBe(3);
    expect((await run([url, url, '--checksum', 'none'])).code).toBe(2);
    expect((await run([url, '--checksum', 'none'])).code).toBe(2);
  });
});

describe('a dry run', () => {
  test('says what would be written where, for people and as JSON, and writes nothing', async () => {
    const sparse = Buffer.alloc(64 * MIB);
    image.copy(sparse, 0, 0, MIB);
    const file = makeQcow2({ guest: sparse, clusterBits: 16, version: 3, compression: 'zlib', seed: 1, compressed: 0 });
    const url = await serve(() => ({ content: file }));
    await truncate(disk.path, 80 * MIB);
    const before = await disk.content();
    const people = await run([url, disk.path, '--checksum', sha256(file), '--dry-run']);
    expect(people.code).toBe(0);
    expect(people.stdout).toContain(`would write   ${url}\n  which is    qcow2, `);
    expect(people.stdout).toContain(`checked by  sha256:${sha256(file)}`);
    expect(people.stdout).toContain(`to            ${disk.path}: regular file, 83.9 MB`);
    const machine = await run([url, disk.path, '--checksum', sha256(file), '--dry-run', '--json']);
    expect(JSON.parse(machine.stdout)).toMatchObject({
      dry_run: true,
      target: { path: disk.path, kind: 'file', sizeBytes: 80 * MIB, refusals: [] },
      image: {
        format: 'qcow2',
        imageBytes: 64 * MIB,
        fileBytes: file.length,
        allocatedBytes: expect.any(Number) as unknown,
      },
    });
    const { image: outline } = JSON.parse(machine.stdout) as { image: { allocatedBytes: number } };
    expect(outline.allocatedBytes).toBeGreaterThanOrEqual(MIB / 2);
    expect(outline.allocatedBytes).toBeLessThan(16 * MIB);
    expect((await disk.content()).equals(before)).toBe(true);
  });
});

describe('a write that cannot end', () => {
  test('clears the partition table when the checksum is another, and says so', async () => {
    const url = await serve(() => ({}));
    const { code, stdout, stderr } = await run([url, disk.path, '--checksum', `sha256:${sha256(Buffer.from('x'))}`]);
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
    expect(stderr).toContain(`the partition table of ${disk.path} was cleared`);
    expect(await isCleared()).toBe(true);
  });

  test('clears it when the time is up', async () => {
    const url = await serve((index) => (index === 0 ? {} : { stallAfter: 4 * MIB }));
    const { code, stderr } = await run([url, disk.path, '--checksum', sha256(image), '--timeout', '2']);
    expect(code).toBe(4);
    expect(stderr).toContain('within 2 s');
    expect(await isCleared()).toBe(true);
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('clears it on %s, and says so', async (signal, exitCode) => {
    const url = await serve((index) => (index === 0 ? {} : { stallAfter: 8 * MIB }));
    const { child, ended, said } = start([url, disk.path, '--checksum', sha256(image)]);
    await until(() => said().includes('write image'));
    child.kill(signal);
    const { code, stdout, stderr } = await ended;
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
    expect(stderr).toContain(`interrupted by ${signal}`);
    expect(stderr).toContain(`the partition table of ${disk.path} was cleared`);
    expect(await isCleared()).toBe(true);
  });

  test('says on Ctrl-C that nothing was touched where nothing was', async () => {
    const url = await serve(() => ({ stallAfter: 100 }));
    const { child, ended } = start([url, disk.path, '--checksum', sha256(image)]);
    await until(() => (server?.requests.length ?? 0) > 0);
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 130, stderr: expect.stringContaining('was not touched') as unknown });
    expect(await isUntouched()).toBe(true);
  });
});
