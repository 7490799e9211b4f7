import { expect, test } from 'vitest';

import { createHeartbeat } from '../../../agent/ironic/heartbeat.ts';
import { fakeClock } from '../../fakes/clock.ts';

/** Runs the loop on a clock that jumps, until `beats` beats; `plan` may act before each sleep. */
async function run(options: {
  beats: number;
  random: number;
  fail?: (beat: number) => boolean;
  onSleep?: (beat: number, force: () => void, at: () => number, advance: (ms: number) => void) => void;
  duringBeat?: (beat: number, force: () => void) => void;
}): Promise<number[]> {
  const controller = new AbortController();
  const times: number[] = [];
  let force = (): void => undefined;
  const clock = fakeClock(() => options.onSleep?.(times.length, force, () => clock.monotonic(), clock.advance));
  const loop = createHeartbeat({
    send: async () => {
      times.push(clock.monotonic() / 1000);
      if (times.length === options.beats) controller.abort();
      options.duringBeat?.(times.length, force);
      if (options.fail?.(times.length)) throw new Error('refused');
    },
    timeoutSeconds: 300,
    clock,
    random: () => options.random,
    signal: controller.signal,
    onBeat: () => undefined,
  });
  force = loop.force;
  await loop.run();
  return times;
}

test('beats at once and then at 0.3 to 0.6 of the time-out', async () => {
  expect(await run({ beats: 3, random: 0 })).toEqual([0, 90, 180]);
  expect(await run({ beats: 3, random: 1 })).toEqual([0, 180, 360]);
});

test('a failed beat is repeated after 5 to 10 seconds', async () => {
  expect(await run({ beats: 4, random: 0, fail: (beat) => beat < 3 })).toEqual([0, 5, 10, 100]);
  expect(await run({ beats: 3, random: 1, fail: () => true })).toEqual([0, 10, 20]);
});

test('a forced beat comes at once when the last is more than 5 seconds ago', async () => {
  let done = false;
  const times = await run({
    beats: 2,
    random: 1,
    onSleep: (_beat, force, _at, advance) => {
      if (done) return;
      done = true;
      advance(42_000);
      force();
    },
  });
  expect(times).toEqual([0, 42]);
});

test('a forced beat waits until the last is 5 seconds ago, and is sent once', async () => {
  let done = false;
  const times = await run({
    beats: 3,
    random: 0,
    onSleep: (_beat, force, _at, advance) => {
      if (done) return;
      done = true;
      advance(1000);
      force();
      force();
    },
  });
  expect(times).toEqual([0, 5, 95]);
});

test('one that is forced while a beat is on its way is not lost', async () => {
  expect(await run({ beats: 2, random: 1, duringBeat: (beat, force) => beat === 1 && force() })).toEqual([0, 5]);
});

test('a forced beat that fails stays forced', async () => {
  const times = await run({
    beats: 3,
    random: 1,
    fail: (beat) => beat === 2,
    duringBeat: (beat, force) => beat === 1 && force(),
  });
  expect(times).toEqual([0, 5, 10]);
});
