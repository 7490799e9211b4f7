import { expect, test } from 'vitest';

import { createLimit } from '../../../agent/os/limit.ts';

test('so many jobs run at a time, in their order, whether they fail or not', async () => {
  const limit = createLimit(2);
  const events: string[] = [];
  const ends: (() => void)[] = [];
  const job = (name: string) =>
    limit(async () => {
      events.push(`${name} starts`);
      await new Promise<void>((resolve) => ends.push(resolve));
      events.push(`${name} ends`);
      if (name === 'b') throw new Error('b broke');
      return name;
    });
  const all = ['a', 'b', 'c', 'd'].map((name) => job(name).catch((error: Error) => error.message));
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  await settle();
  expect(events).toEqual(['a starts', 'b starts']);
  ends[1]?.();
  await settle();
  expect(events.slice(2)).toEqual(['b ends', 'c starts']);
  ends[0]?.();
  await settle();
  ends[2]?.();
  await settle();
  ends[3]?.();
  expect(await Promise.all(all)).toEqual(['a', 'b broke', 'c', 'd']);
  expect(await limit(async () => 'free again')).toBe('free again');
});
