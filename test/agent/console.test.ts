import { describe, expect, test } from 'vitest';

import { createConsole, describeProgress } from '../../agent/console.ts';

function setup(debug = false) {
  let time = 0;
  const written: string[] = [];
  const console = createConsole({ write: (text) => written.push(text), monotonic: () => time, debug });
  return { console, written, advance: (ms: number) => (time += ms) };
}

describe('the console', () => {
  test('shows the status when it changes, and only what is known', () => {
    const { console, written } = setup();
    console.status({ name: 'rack-1 (ingot-agent 0.1.0)', state: 'starting' });
    console.status({ state: 'starting' });
    expect(written).toHaveLength(1);
    expect(written[0]).toContain('  name     rack-1 (ingot-agent 0.1.0)\n  state    starting\n');
    expect(written[0]).not.toContain('error');
    console.status({ error: 'cannot reach http://a: nothing listens there\ntry: check the cable' });
    expect(written[1]).toContain(
      '  error    cannot reach http://a: nothing listens there\n           try: check the cable\n',
    );
    console.repeat();
    expect(written[2]).toBe(written[1]);
  });

  test('masks secrets everywhere, in its memory too', () => {
    const { console, written } = setup();
    console.addSecret('hunter2hunter2');
    console.addSecret(undefined);
    console.addSecret('');
    console.log('token is hunter2hunter2');
    console.status({ error: 'hunter2hunter2 was refused' });
    expect([...written, ...console.recent()].join('')).not.toContain('hunter2');
    expect(console.recent()[0]).toBe('[     0.0] token is ***');
  });

  test('writes at most one progress line a second for each phase', () => {
    const { console, written, advance } = setup();
    for (let done = 0; done < 100; done += 1) {
      console.progress('write_image', { phase: 'write', done, total: 100 });
      advance(100);
    }
    expect(written).toHaveLength(10);
    console.progress('write_image', { phase: 'verify' });
    expect(written.at(-1)).toContain('write_image: verify');
  });

  test('lets nothing steer the terminal', () => {
    const { console, written } = setup();
    console.log('model \u001B[2Jevil\u0007\r');
    expect(written[0]).toBe('[     0.0] model ?[2Jevil??\n');
  });

  test('says more only when told to', () => {
    const quiet = setup();
    quiet.console.debug('x');
    expect(quiet.written).toEqual([]);
    const loud = setup(true);
    loud.console.debug('x');
    expect(loud.written).toEqual(['[     0.0] x\n']);
  });

  test('remembers the last 2000 lines', () => {
    const { console } = setup();
    for (let line = 0; line < 2100; line += 1) console.log(`line ${line}`);
    expect(console.recent()).toHaveLength(2000);
    expect(console.recent()[0]).toContain('line 100');
  });
});

test('progress is told with what there is', () => {
  expect(describeProgress({ phase: 'write', done: 1.2e9, total: 3e9, unit: 'bytes', rate: 98e6, message: 'x' })).toBe(
    'write  40%  1.20 GB of 3.00 GB  98.0 MB/s  x',
  );
  expect(describeProgress({ phase: 'wait' })).toBe('wait');
  expect(describeProgress({ phase: 'disks', done: 2, unit: 'disks' })).toBe('disks  2 disks');
});
