import { expect, test } from 'vitest';

import { createProgress, formatUpdate, progressMode, type ProgressMode } from '../../cli/progress.ts';

function recorded(mode: ProgressMode) {
  let time = 0;
  let text = '';
  const progress = createProgress(mode, { write: (part) => (text += part) }, () => time);
  return { progress, wait: (ms: number) => (time += ms), text: () => text };
}

test('without a terminal there is one line a second, and the last word of a phase is never lost', () => {
  const { progress, wait, text } = recorded('lines');
  for (let i = 0; i <= 25; i++) {
    progress.update({ phase: 'fetch', done: i, total: 25 });
    wait(100);
  }
  progress.update({ phase: 'pack' });
  progress.finish();
  const lines = text().trimEnd().split('\n');
  expect(lines).toHaveLength(5);
  expect(lines[0]).toMatch(/^fetch {4}0% {2}0 of 25/);
  expect(lines[3]).toMatch(/^fetch {2}100%/);
  expect(lines[4]).toBe('pack');
});

test('on a terminal it stays on one line', () => {
  const { progress, wait, text } = recorded('terminal');
  progress.update({ phase: 'fetch', done: 1 });
  wait(200);
  progress.update({ phase: 'fetch', done: 2 });
  expect(text().includes('\n')).toBe(false);
  progress.finish();
  expect(text().endsWith('\n')).toBe(true);
});

test('a line that is wider than the terminal is cut, or it could not be written over', () => {
  let text = '';
  const progress = createProgress('terminal', { write: (part) => (text += part), columns: 40 }, () => 0);
  progress.update({ phase: 'write', message: 'x'.repeat(100) });
  expect(text).toBe(`\r\u001B[2Kwrite  ${'x'.repeat(32)}`);
});

test('json is one object a line', () => {
  const { progress, text } = recorded('json');
  progress.update({ phase: 'fetch', done: 5, unit: 'bytes' });
  progress.log('hello');
  expect(
    text()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual([
    { event: 'progress', phase: 'fetch', done: 5, unit: 'bytes' },
    { event: 'log', message: 'hello' },
  ]);
});

test('an update shows share, amounts, rate and time left', () => {
  expect(formatUpdate({ phase: 'write', done: 50e6, total: 200e6, unit: 'bytes' }, 10)).toBe(
    'write   25%  50.0 MB of 200.0 MB  5.0 MB/s  30.0 s left',
  );
  expect(formatUpdate({ phase: 'unpack', done: 3, unit: 'packages', message: 'libc6' }, 0)).toBe(
    'unpack  3 packages  libc6',
  );
});

test('the mode fits the output', () => {
  expect(progressMode({ isTerminal: true })).toBe('terminal');
  expect(progressMode({ isTerminal: false })).toBe('lines');
  expect(progressMode({ json: true, isTerminal: true })).toBe('json');
  expect(progressMode({ quiet: true, json: true, isTerminal: true })).toBe('silent');
});
