import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { type Gap, Gaps } from '../../../agent/image/gaps.ts';
import { checkOverlaps, type Placement, PLACEMENT_KINDS, Placements } from '../../../agent/image/placements.ts';
import { VarintReader, Varints } from '../../../agent/image/varints.ts';
import { seeded } from '../../fakes/qcow2.ts';

const CLUSTER = 65_536;
const { data, compressed, l2 } = PLACEMENT_KINDS;

function pack(entries: readonly Placement[]): Placements {
  const placements = new Placements(CLUSTER);
  for (const { kind, host, length, guest } of entries) placements.add(kind, host, length, guest);
  placements.seal();
  return placements;
}

/** Guest positions say nothing for tables. */
const shown = (entries: Iterable<Placement>) =>
  [...entries].map(({ kind, host, length, guest }) => [kind, host, length, kind <= compressed ? guest : 0]);

test('numbers of any size come back', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.maxSafeNat(), fc.integer({ min: -(2 ** 51), max: 2 ** 51 }))), (pairs) => {
      const varints = new Varints();
      for (const [natural, signed] of pairs) {
        varints.add(natural);
        varints.addSigned(signed);
      }
      const reader = new VarintReader(varints, 0);
      expect(pairs.map(() => [reader.next(), reader.nextSigned()])).toEqual(pairs);
      expect(reader.position).toBe(varints.bytes);
    }),
  );
});

describe('placements', () => {
  const entry = fc.record({
    kind: fc.constantFrom(data, compressed, l2),
    host: fc.nat(2 ** 40),
    length: fc.integer({ min: 1, max: 2 ** 22 }),
    guest: fc.nat(2 ** 30).map((sectors) => sectors * 512),
  });

  test('come out in the order of the file, whatever went in', () => {
    fc.assert(
      fc.property(fc.uniqueArray(entry, { selector: ({ host }) => host, maxLength: 300 }), (entries) => {
        // Neighbours that are joined are in the next test.
        const sorted = entries.toSorted((a, b) => a.host - b.host);
        expect(shown(pack(entries).inFileOrder())).toEqual(shown(sorted));
      }),
    );
  });

  test(
    'of many runs are merged: written at random, in order, and compressed, packed and not',
    { timeout: 60_000 },
    () => {
      const random = seeded(3);
      const count = 200_000;
      const entries: Placement[] = [];
      let host = CLUSTER;
      for (let index = 0; index < count; index++) {
        const bytes = 1 + Math.floor(random() * 60_000);
        const isPacked = random() < 0.9;
        const sectors = Math.ceil((host + bytes) / 512) * 512 - host;
        const kind = random() < 0.8 ? compressed : data;
        if (kind === data) host = Math.ceil(host / CLUSTER) * CLUSTER;
        const length = kind === data ? CLUSTER : isPacked ? sectors : sectors + 512;
        entries.push({ kind, host, length, guest: Math.floor(random() * 2 ** 30) * 512 });
        host += kind === data ? CLUSTER : isPacked ? bytes : bytes + 1024;
      }
      const mixed = entries.map((one) => ({ one, at: random() })).toSorted((a, b) => a.at - b.at);
      const out = pack(mixed.map(({ one }) => one)).inFileOrder();
      let index = 0;
      let wrong = 0;
      for (const now of out) {
        const was = entries[index++];
        if (now.host !== was?.host || now.guest !== was.guest || now.length !== was.length || now.kind !== was.kind)
          wrong++;
      }
      expect([index, wrong]).toEqual([count, 0]);
    },
  );

  test('that continue each other are one', () => {
    const rows = [0, 1, 2, 5].map((index) => ({
      kind: data,
      host: (1 + index) * 512,
      length: 512,
      guest: index * 512,
    }));
    expect(shown(pack(rows).inFileOrder())).toEqual([
      [data, 512, 1536, 0],
      [data, 3072, 512, 2560],
    ]);
  });

  test('of a converted image take three bytes a compressed cluster', { timeout: 60_000 }, () => {
    const random = seeded(5);
    const count = 500_000;
    const placements = new Placements(CLUSTER);
    let host = 5 * CLUSTER;
    for (let index = 0; index < count; index++) {
      const bytes = 20_000 + Math.floor(random() * 45_000);
      placements.add(compressed, host, Math.ceil((host + bytes) / 512) * 512 - host, index * CLUSTER);
      host += bytes;
    }
    placements.seal();
    expect(placements.packedBytes / count).toBeLessThan(3.01);
  });

  test('may not share bytes, but for the last sector of compressed clusters', () => {
    const at = (kind: number, host: number, length: number): Placement => ({ kind, host, length, guest: 0 });
    expect(() => checkOverlaps(pack([at(compressed, 1000, 536), at(compressed, 1100, 436)]))).not.toThrow();
    expect(() => checkOverlaps(pack([at(compressed, 1000, 1048), at(compressed, 1500, 36)]))).toThrow(
      'overlap at byte 1500',
    );
    expect(() => checkOverlaps(pack([at(data, 0, 512), at(l2, 511, 512)]))).toThrow('overlap at byte 511');
    expect(() => checkOverlaps(pack([at(l2, 4096, 512), at(data, 4096, 512)]))).toThrow('overlap at byte 4096');
  });
});

test('gaps come out as they went in, neighbours joined', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 2 ** 40 }), fc.boolean())), (steps) => {
      const gaps = new Gaps();
      const expected: Gap[] = [];
      let position = 0;
      for (const [skip, length, isBack] of steps) {
        const at = isBack && skip > 0 ? Math.floor(position / 2) : position + skip * 512;
        const last = expected.at(-1);
        if (last && last.position + last.length === at) last.length += length;
        else if (!last && at === 0) expected.push({ position: 0, length });
        else expected.push({ position: at, length });
        gaps.add(at, length);
        position = at + length;
      }
      expect([...gaps.all()]).toEqual(expected);
      expect([...gaps.all()]).toEqual(expected);
      expect(gaps.guestBytes).toBe(steps.reduce((sum, [, length]) => sum + length, 0));
    }),
  );
});
