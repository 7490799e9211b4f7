import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { systemRun } from '../../../system/run.ts';
import { makeDiskFile } from '../../fakes/disk-file.ts';
import { startImageServer } from '../../fakes/image-server.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { deliver, sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const directory = mkdtempSync(join(tmpdir(), 'ingot-qemu-random-'));
afterAll(() => rmSync(directory, { recursive: true }));

const hasQemuImg = await systemRun('qemu-img', ['--version']).then(
  () => true,
  () => false,
);

/** What somebody does to an image, in units of 512 bytes. */
const operations = fc.record({
  kind: fc.constantFrom('write', 'write -z', 'write -z -u', 'write -c', 'discard', 'snapshot'),
  at: fc.nat(6000),
  count: fc.integer({ min: 1, max: 900 }),
});

const images = fc.record({
  sectors: fc.integer({ min: 2500, max: 6000 }),
  clusterBits: fc.integer({ min: 9, max: 21 }),
  isVersion2: fc.boolean(),
  hasSubclusters: fc.boolean(),
  compression: fc.constantFrom('zlib', 'zstd'),
  isLazy: fc.boolean(),
  refcountBits: fc.constantFrom(1, 16, 64),
  preallocation: fc.constantFrom('off', 'off', 'metadata', 'full'),
  operations: fc.array(operations, { maxLength: 8 }),
  /** Converted again at the end, in order or out of it. */
  convert: fc.constantFrom<string[] | undefined>(
    undefined,
    [],
    ['-c'],
    ['-c', '-W', '-m', '4'],
    ['-W', '-m', '4', '-S', '0'],
  ),
  seed: fc.nat(1000),
});
type Drawn = typeof images extends fc.Arbitrary<infer T> ? T : never;

function optionsOf(drawn: Drawn): string {
  const hasSubclusters = drawn.hasSubclusters && !drawn.isVersion2;
  const bits = Math.max(drawn.clusterBits, hasSubclusters ? 14 : 9);
  const ofVersion3 = [
    'compat=1.1',
    `compression_type=${drawn.compression}`,
    `lazy_refcounts=${drawn.isLazy ? 'on' : 'off'}`,
    `refcount_bits=${drawn.refcountBits}`,
    ...(hasSubclusters ? ['extended_l2=on'] : []),
  ];
  const preallocation = hasSubclusters && drawn.preallocation !== 'off' ? 'metadata' : drawn.preallocation;
  return [
    `cluster_size=${2 ** bits}`,
    `preallocation=${preallocation}`,
    ...(drawn.isVersion2 ? ['compat=0.10'] : ofVersion3),
  ].join(',');
}

/** qemu-io's command for an operation, or undefined where it cannot be. Compressed clusters are written whole. */
function commandOf(operation: Drawn['operations'][number], drawn: Drawn, index: number): string | undefined {
  const { kind, at, count } = operation;
  const unit = kind === 'write -c' ? Math.max(2 ** drawn.clusterBits, 16_384) : 512;
  const whole = Math.floor((drawn.sectors * 512) / unit);
  const start = at % whole;
  const length = Math.min(Math.ceil((count * 512) / unit), whole - start);
  if (whole === 0) return undefined;
  const pattern = kind === 'write' || kind === 'write -c' ? ` -P ${1 + index}` : '';
  return `${kind}${pattern} ${start * unit} ${length * unit}`;
}

/** An image as QEMU leaves it behind after a life of random deeds. */
async function makeImage(drawn: Drawn, path: string): Promise<void> {
  const size = drawn.sectors * 512;
  const guest = makeGuest(size, drawn.seed);
  await writeFile(`${path}.raw`, guest);
  const options = optionsOf(drawn);
  await systemRun('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, path, String(size)]);
  await systemRun('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'qcow2', `${path}.raw`, path]);
  for (const [index, operation] of drawn.operations.entries()) {
    if (operation.kind === 'snapshot') {
      // Refcounts of one bit count no snapshots.
      await systemRun('qemu-img', ['snapshot', '-c', `s${index}`, path], { okExitCodes: [0, 1] });
      continue;
    }
    const command = commandOf(operation, drawn, index);
    // Overwriting what is allocated by a compressed cluster is refused by some versions; that is no matter of ours.
    if (command) await systemRun('qemu-io', ['-f', 'qcow2', '-c', command, path], { okExitCodes: [0, 1] });
  }
  // Whatever was written over the partition table.
  await writeFile(`${path}.mbr`, guest.subarray(0, 512));
  await systemRun('qemu-io', ['-f', 'qcow2', '-c', `write -s ${path}.mbr 0 512`, path]);
  if (drawn.convert) {
    const isCompressed = drawn.convert.includes('-c');
    const again = optionsOf({ ...drawn, ...(isCompressed && { preallocation: 'off' }) });
    await systemRun('qemu-img', ['convert', '-O', 'qcow2', '-o', again, ...drawn.convert, path, `${path}.new`]);
    await systemRun('mv', [`${path}.new`, path]);
  }
  await rm(`${path}.raw`);
}

/** @returns what `qemu-img compare` says: 0 the same, 1 not the same, more when it cannot read it either */
async function compare(image: string, disk: string): Promise<number> {
  const codes = [0, 1, 2, 3, 4];
  const args = ['compare', '-q', '-f', 'qcow2', '-F', 'raw', image, disk];
  return (await systemRun('qemu-img', args, { okExitCodes: codes, timeoutMs: 20_000 })).exitCode;
}

type Outcome = { failure: unknown; same: number; content: Buffer; before: Buffer };

/** Delivers a file onto a dirty disk of the image's size, and lets QEMU compare. */
async function deliverAndCompare(
  path: string,
  size: number,
  options: { checksum?: string; withoutRange?: boolean } = {},
): Promise<Outcome> {
  const file = await readFile(path);
  const disk = await makeDiskFile(size);
  const server = await startImageServer(() => ({ content: file, withoutRange: options.withoutRange ?? false }));
  try {
    const failure = await deliver(server.url, disk.device, {
      checksum: options.checksum ?? sha256(file),
      disk_format: 'qcow2',
    }).then(
      () => undefined,
      (error: unknown) => error,
    );
    return { failure, same: await compare(path, disk.path), content: await disk.content(), before: disk.before };
  } finally {
    await server.close();
    await disk.close();
  }
}

function isUntouchedOrCleared({ content, before }: Outcome): boolean {
  const ends = [content.subarray(0, MIB), content.subarray(-MIB)];
  return content.equals(before) || ends.every((end) => end.equals(Buffer.alloc(end.length)));
}

let count = 0;
const nextPath = () => join(directory, `image-${count++}.qcow2`);

describe.skipIf(!hasQemuImg)('images with a life behind them', () => {
  test('are written as QEMU reads them', { timeout: 240_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(images, fc.boolean(), async (drawn, withoutRange) => {
        const path = nextPath();
        await makeImage(drawn, path);
        const { failure, same } = await deliverAndCompare(path, drawn.sectors * 512, { withoutRange });
        expect(failure).toBeUndefined();
        expect(same).toBe(0);
        await rm(path);
      }),
      { numRuns: Number(process.env['INGOT_FUZZ_RUNS'] ?? 10) },
    );
  });

  test('cut off or with a flipped bit are found out, and the disk does not boot', { timeout: 240_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        images,
        fc.array(fc.tuple(fc.boolean(), fc.double({ min: 0, max: 1, noNaN: true })), { minLength: 2, maxLength: 3 }),
        async (drawn, damages) => {
          const path = nextPath();
          await makeImage({ ...drawn, operations: drawn.operations.slice(0, 3) }, path);
          const file = await readFile(path);
          for (const [isCut, where] of damages) {
            const at = Math.floor(where * (file.length - 1));
            const damaged = Buffer.from(isCut ? file.subarray(0, at) : file);
            if (!isCut) damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
            await writeFile(path, damaged);
            const outcome = await deliverAndCompare(path, drawn.sectors * 512, { checksum: sha256(file) });
            expect(outcome.failure).toBeInstanceOf(AgentError);
            expect(isUntouchedOrCleared(outcome)).toBe(true);
          }
          await rm(path);
        },
      ),
      { numRuns: Number(process.env['INGOT_FUZZ_RUNS'] ?? 3) },
    );
  });

  test(
    'of which somebody changed header and tables are refused, or read as QEMU reads them',
    { timeout: 240_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(
          images,
          fc.array(fc.tuple(fc.nat(2), fc.nat(), fc.nat(255)), { minLength: 3, maxLength: 5 }),
          fc.boolean(),
          async (drawn, damages, withoutRange) => {
            const path = nextPath();
            await makeImage({ ...drawn, operations: drawn.operations.slice(0, 3) }, path);
            const file = await readFile(path);
            const l1 = Number(file.readBigUInt64BE(40));
            const l2 = Number(file.readBigUInt64BE(l1) & 0x00_ff_ff_ff_ff_ff_fe_00n);
            const ranges = [
              [0, 112],
              [l1, 16],
              [l2, 256],
            ] as const;
            for (const [which, where, value] of damages) {
              const damaged = Buffer.from(file);
              const [start, length] = ranges[which] ?? [0, 1];
              damaged[start + (where % length)] = value;
              await writeFile(path, damaged);
              const outcome = await deliverAndCompare(path, drawn.sectors * 512, { withoutRange });
              const isRefused = outcome.failure instanceof AgentError && isUntouchedOrCleared(outcome);
              // Where QEMU cannot read it either there is nothing to compare.
              expect(isRefused || (outcome.failure === undefined && outcome.same !== 1)).toBe(true);
            }
            await rm(path);
          },
        ),
        { numRuns: Number(process.env['INGOT_FUZZ_RUNS'] ?? 5) },
      );
    },
  );
});
