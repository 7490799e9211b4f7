import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, test } from 'vitest';

import { systemRun } from '../../../system/run.ts';
import { makeDiskFile } from '../../fakes/disk-file.ts';
import { startImageServer } from '../../fakes/image-server.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { deliver, sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const directory = mkdtempSync(join(tmpdir(), 'ingot-qemu-img-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** QEMU's own program makes the images and says what is in them: nobody knows better. */
const hasQemuImg = await systemRun('qemu-img', ['--version']).then(
  () => true,
  () => false,
);
const qemuImg = (...args: string[]) => systemRun('qemu-img', args, { cwd: directory });

const guest = makeGuest(20 * MIB + 512 * 3, 99);
guest.fill(0, 5 * MIB, 14 * MIB);

describe.skipIf(!hasQemuImg)('images made by qemu-img', () => {
  writeFileSync(join(directory, 'guest.raw'), guest);

  test.each([
    ['plain', []],
    ['version 2', ['-o', 'compat=0.10']],
    ['compressed with zlib', ['-c']],
    ['compressed with zstd', ['-c', '-o', 'compression_type=zstd']],
    ['small clusters, written out of order', ['-W', '-m', '8', '-o', 'cluster_size=512']],
    ['large clusters, compressed out of order', ['-c', '-W', '-m', '8', '-o', 'cluster_size=2M']],
    ['preallocated metadata', ['-o', 'preallocation=metadata']],
    ['all preallocated', ['-o', 'preallocation=full']],
    ['without sparse areas', ['-S', '0']],
    ['lazy refcounts of one bit', ['-o', 'lazy_refcounts=on,refcount_bits=1']],
  ])('%s', async (name, options) => {
    const path = `${name.replaceAll(/\W/g, '-')}.qcow2`;
    await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...options, 'guest.raw', path);
    const file = readFileSync(join(directory, path));
    const disk = await makeDiskFile(24 * MIB);
    const server = await startImageServer(() => ({ content: file }));
    try {
      await deliver(server.url, disk.device, { checksum: sha256(file), disk_format: 'qcow2' });
      expect((await disk.content()).subarray(0, guest.length).equals(guest)).toBe(true);
    } finally {
      await server.close();
      await disk.close();
    }
  });

  test('internal snapshots are ignored, what is written since counts', async () => {
    await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', 'guest.raw', 'snapshot.qcow2');
    await qemuImg('snapshot', '-c', 'before', 'snapshot.qcow2');
    await systemRun('qemu-io', [
      '-f',
      'qcow2',
      '-c',
      'write -P 0x77 3M 2M',
      '-c',
      'write -z 15M 1M',
      join(directory, 'snapshot.qcow2'),
    ]);
    const changed = Buffer.from(guest)
      .fill(0x77, 3 * MIB, 5 * MIB)
      .fill(0, 15 * MIB, 16 * MIB);
    const file = readFileSync(join(directory, 'snapshot.qcow2'));
    const disk = await makeDiskFile(24 * MIB);
    const server = await startImageServer(() => ({ content: file }));
    await deliver(server.url, disk.device, { checksum: sha256(file) });
    expect((await disk.content()).subarray(0, guest.length).equals(changed)).toBe(true);
    await server.close();
    await disk.close();
  });

  test.each([
    ['a backing file', ['-b', 'guest.raw', '-F', 'raw'], 'backing file'],
    ['an external data file', ['-o', 'data_file=data.raw', '20M'], 'external data file'],
    ['nothing in it', ['20M'], 'no partition table'],
  ])('an image with %s is refused, and the disk is not touched', async (name, options, why) => {
    const path = `refused-${name.replaceAll(/\W/g, '-')}.qcow2`;
    const size = options.at(-1) === '20M' ? ['20M'] : [];
    const rest = size.length > 0 ? options.slice(0, -1) : options;
    await qemuImg('create', '-f', 'qcow2', ...rest, path, ...size);
    const file = readFileSync(join(directory, path));
    const disk = await makeDiskFile(24 * MIB);
    const server = await startImageServer(() => ({ content: file }));
    await expect(deliver(server.url, disk.device, { checksum: sha256(file) })).rejects.toMatchObject({
      type: 'InvalidImage',
      details: expect.stringContaining(why) as string,
    });
    expect((await disk.content()).equals(disk.before)).toBe(true);
    await server.close();
    await disk.close();
  });
});
