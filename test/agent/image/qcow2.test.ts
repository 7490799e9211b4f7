import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { makeDiskFile } from '../../fakes/disk-file.ts';
import { startImageServer } from '../../fakes/image-server.ts';
import { makeGuest, makeQcow2, seeded } from '../../fakes/qcow2.ts';
import { deliver, sha256 } from './delivery.ts';

const MIB = 1024 ** 2;

const images = fc.record({
  // From less than two withheld ends to more than several blocks; not only whole clusters.
  sectors: fc.integer({ min: 1, max: 9000 }),
  clusterBits: fc.integer({ min: 9, max: 21 }),
  version: fc.constantFrom(2 as const, 3 as const),
  compression: fc.constantFrom('zlib' as const, 'zstd' as const),
  compressed: fc.constantFrom(0, 0.5, 1),
  seed: fc.integer(),
  withoutRange: fc.boolean(),
});

type Drawn = typeof images extends fc.Arbitrary<infer T> ? T : never;

function draw({ sectors, seed, ...options }: Drawn): { guest: Buffer; file: Buffer } {
  const guest = makeGuest(sectors * 512, seed);
  // Version 2 has no field for the kind of compression.
  const compression = options.version === 2 ? ('zlib' as const) : options.compression;
  return { guest, file: makeQcow2({ ...options, compression, guest, seed }) };
}

/** Places where damage hurts: the header, the L1 table, the first L2 table. */
function tableRanges(file: Buffer): [number, number][] {
  const l1 = Number(file.readBigUInt64BE(40));
  const l2 = Number(file.readBigUInt64BE(l1) & 0x00_ff_ff_ff_ff_ff_fe_00n);
  return [
    [0, 112],
    [l1, 8],
    [l2, 64],
  ];
}

function isUntouchedOrCleared(content: Buffer, before: Buffer): boolean {
  const zeros = Buffer.alloc(MIB);
  return content.equals(before) || (content.subarray(0, MIB).equals(zeros) && content.subarray(-MIB).equals(zeros));
}

/** Its compressed cluster ends in a zero byte at the end of the file, which the generator once cut off. */
const ENDS_IN_A_ZERO: Drawn = {
  sectors: 1,
  clusterBits: 18,
  version: 3,
  compression: 'zstd',
  compressed: 1,
  seed: 0,
  withoutRange: false,
};

describe('qcow2 images', () => {
  test('any layout gives the guest’s bytes on a dirty disk', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(images, async (drawn) => {
        const { guest, file } = draw(drawn);
        const disk = await makeDiskFile(8 * MIB);
        const server = await startImageServer(() => ({ content: file, withoutRange: drawn.withoutRange, etag: '"a"' }));
        try {
          const written = await deliver(server.url, disk.device, { checksum: sha256(file), disk_format: 'qcow2' });
          expect(written).toMatchObject({
            format: 'qcow2',
            imageBytes: guest.length,
            fileBytes: file.length,
            wiped: 1,
          });
          const content = await disk.content();
          expect(content.length).toBe(8 * MIB);
          expect(content.subarray(0, guest.length).equals(guest)).toBe(true);
        } finally {
          await server.close();
          await disk.close();
        }
      }),
      { numRuns: 25, examples: [[ENDS_IN_A_ZERO]] },
    );
  });

  test(
    'a damaged table or header is refused, or read somehow: it never hangs, and never grows the disk',
    { timeout: 120_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(
          images,
          fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
          async (drawn, damage) => {
            const { file } = draw({
              ...drawn,
              sectors: Math.min(drawn.sectors, 2000),
              clusterBits: Math.min(drawn.clusterBits, 16),
            });
            const damaged = Buffer.from(file);
            const ranges = tableRanges(file);
            for (const [at, value] of damage) {
              const [start, length] = ranges[at % 3] ?? [0, 1];
              damaged[start + (at % length)] = value;
            }
            const disk = await makeDiskFile(4 * MIB);
            const server = await startImageServer(() => ({ content: damaged, withoutRange: drawn.withoutRange }));
            try {
              const failure = await deliver(server.url, disk.device, {
                checksum: sha256(damaged),
                disk_format: 'qcow2',
              }).then(
                () => undefined,
                (error: unknown) => error,
              );
              const content = await disk.content();
              expect(content.length).toBe(4 * MIB);
              if (failure === undefined) return;
              expect(failure).toBeInstanceOf(AgentError);
              expect(['InvalidImage', 'ImageDownloadError']).toContain((failure as AgentError).type);
              expect(isUntouchedOrCleared(content, disk.before)).toBe(true);
            } finally {
              await server.close();
              await disk.close();
            }
          },
        ),
        { numRuns: 60 },
      );
    },
  );

  test('a file that ends within a cluster of data has zeros after its end', async () => {
    // One cluster in the middle, where nothing is withheld, has 1000 bytes and then zeros; some seed puts it last.
    const guest = Buffer.alloc(4 * MIB);
    makeGuest(1024, 3).copy(guest);
    guest.fill('text ', 2 * MIB, 2 * MIB + 1000);
    const make = (seed: number) =>
      makeQcow2({ guest, clusterBits: 16, version: 3, compression: 'zlib', compressed: 0, seed });
    let file: Buffer | undefined;
    for (let seed = 0; file === undefined && seed < 500; seed++) {
      const made = make(seed);
      if (made.length % 65_536 === 1000) file = made;
    }
    expect(file).toBeDefined();
    if (!file) return;
    const disk = await makeDiskFile(8 * MIB);
    const server = await startImageServer(() => ({ content: file }));
    await deliver(server.url, disk.device, { checksum: sha256(file) });
    expect((await disk.content()).subarray(0, guest.length).equals(guest)).toBe(true);
    await server.close();
    await disk.close();
  });

  test('a flipped bit anywhere is found by the checksum, and the disk does not boot', { timeout: 60_000 }, async () => {
    const random = seeded(7);
    const guest = makeGuest(3 * MIB, 7);
    const file = makeQcow2({ guest, clusterBits: 12, version: 3, compression: 'zlib', compressed: 0.3, seed: 7 });
    for (let run = 0; run < 8; run++) {
      const damaged = Buffer.from(file);
      const at = Math.floor(random() * damaged.length);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (run % 8));
      const disk = await makeDiskFile(4 * MIB);
      const server = await startImageServer(() => ({ content: damaged }));
      const failure = await deliver(server.url, disk.device, { checksum: sha256(file) }).catch(
        (error: unknown) => error,
      );
      expect(failure).toBeInstanceOf(AgentError);
      expect(isUntouchedOrCleared(await disk.content(), disk.before)).toBe(true);
      await server.close();
      await disk.close();
    }
  });
});
