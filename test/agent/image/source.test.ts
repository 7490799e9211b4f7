import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { createFlow } from '../../../agent/image/flow.ts';
import { groupRanges, pickRanges, type SourceRange } from '../../../agent/image/source.ts';
import { zstdFrameBytes } from '../../../agent/image/qcow2-cluster.ts';
import { zstdCompressSync } from 'node:zlib';

async function* inChunks(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** Ascending ranges that do not overlap, from gaps and lengths. */
function toRanges(steps: readonly [number, number][], start: number): SourceRange[] {
  let position = start;
  return steps.map(([gap, length]) => {
    const range = { position: position + gap, length };
    position = range.position + length;
    return range;
  });
}

describe('reading ranges', () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 1, max: 300 })), {
    minLength: 1,
    maxLength: 20,
  });

  test('picks the same bytes out of a stream however it is cut', async () => {
    const bytes = Buffer.from(Array.from({ length: 13_000 }, (_, index) => index % 251));
    await fc.assert(
      fc.asyncProperty(
        steps,
        fc.array(fc.integer({ min: 1, max: 997 }), { minLength: 1 }),
        fc.nat(500),
        async (drawn, sizes, start) => {
          const ranges = toRanges(drawn, start);
          const picked: Buffer[] = [];
          for await (const part of pickRanges(inChunks(bytes.subarray(start), sizes), start, ranges)) picked.push(part);
          expect(picked).toEqual(ranges.map(({ position, length }) => bytes.subarray(position, position + length)));
        },
      ),
    );
  });

  test('groups cover their ranges, in order, and gaps inside them are small', () => {
    fc.assert(
      fc.property(steps, fc.nat(200), (drawn, gap) => {
        const ranges = toRanges(drawn, 0);
        const groups = groupRanges(ranges, gap);
        expect(groups.flatMap((group) => group.ranges)).toEqual(ranges);
        for (const group of groups) {
          expect(group.position).toBe(group.ranges[0]?.position);
          const last = group.ranges.at(-1);
          expect(group.position + group.length).toBe((last?.position ?? 0) + (last?.length ?? 0));
        }
        const gaps = groups.slice(1).map((group, index) => {
          const before = groups[index];
          return group.position - (before?.position ?? 0) - (before?.length ?? 0);
        });
        expect(gaps.every((between) => between > gap)).toBe(true);
      }),
    );
  });
});

describe('the flow of jobs', () => {
  test('never holds more than its limit, runs every job, and still takes one that is larger alone', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 150 }), { maxLength: 40 }), async (sizes) => {
        const flow = createFlow(100);
        let held = 0;
        let ended = 0;
        for (const size of sizes)
          await flow.start(size, async () => {
            held += size;
            expect(held <= 100 || held === size).toBe(true);
            await new Promise((resolve) => setImmediate(resolve));
            held -= size;
            ended++;
          });
        await flow.drain();
        expect(ended).toBe(sizes.length);
      }),
    );
  });

  test('a job that fails stops those after it, and drain waits for those before it', async () => {
    const flow = createFlow(10);
    let ended = false;
    await flow.start(5, async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      ended = true;
    });
    await flow.start(5, () => Promise.reject(new Error('no')));
    await expect(flow.start(5, async () => undefined)).rejects.toThrow('no');
    await expect(flow.drain()).rejects.toThrow('no');
    expect(ended).toBe(true);
  });
});

test('a zstd frame ends where it ends, whatever follows', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 5000 }),
      fc.boolean(),
      fc.uint8Array({ maxLength: 600 }),
      (content, isDull, tail) => {
        const frame = zstdCompressSync(isDull ? Buffer.alloc(content.length * 100) : content);
        expect(zstdFrameBytes(Buffer.concat([frame, tail]))).toBe(frame.length);
        expect(() => zstdFrameBytes(frame.subarray(0, -1))).toThrow('no whole zstd frame');
      },
    ),
  );
});
