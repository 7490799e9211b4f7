import { expect, test, vi } from 'vitest';

import { systemFollow } from '../../system/follow.ts';
import { systemRun } from '../../system/run.ts';

const never = new AbortController().signal;

async function follow(script: string, options: Partial<Parameters<typeof systemFollow>[2]> = {}) {
  const lines: string[] = [];
  const ended = await systemFollow('sh', ['-c', script], {
    signal: never,
    onLine: (line, from) => lines.push(`${from}: ${line}`),
    ...options,
  });
  return { ...ended, lines };
}

async function isRunning(pid: string): Promise<boolean> {
  const { stdout } = await systemRun('ps', ['-o', 'stat=', '-p', pid], { okExitCodes: [0, 1] });
  return stdout.trim() !== '' && !stdout.startsWith('Z');
}

/** A killed program needs a moment to die. */
async function isGone(pid: string): Promise<void> {
  await vi.waitFor(async () => expect(await isRunning(pid)).toBe(false), { timeout: 10_000 });
}

test('lines come one by one with where they are from, those of a progress bar and the last without its end, too', async () => {
  const { lines, exitCode } = await follow(String.raw`printf 'one\n10%%\r20%%\rtwo'; echo three >&2; exit 3`);
  expect(lines.filter((line) => line.startsWith('stdout'))).toEqual([
    'stdout: one',
    'stdout: 10%',
    'stdout: 20%',
    'stdout: two',
  ]);
  expect(lines).toContain('stderr: three');
  expect(exitCode).toBe(3);
});

test('a line without end is handed over in pieces', async () => {
  const { lines } = await follow('head -c 200000 /dev/zero | tr "\\0" x');
  expect(lines.length).toBeGreaterThan(1);
  expect(lines.map((line) => line.slice('stdout: '.length)).join('')).toBe('x'.repeat(200_000));
});

test('what is said to it is there, and it need not listen', async () => {
  expect((await follow('cat', { input: 'hello' })).lines).toEqual(['stdout: hello']);
  expect((await follow('exec true', { input: 'x'.repeat(1_000_000) })).exitCode).toBe(0);
});

test('a signal ends it and all that it has started', async () => {
  const controller = new AbortController();
  const pids: string[] = [];
  const running = systemFollow('sh', ['-c', 'sleep 100 & echo $!; sh -c "echo \\$\\$; sleep 100"'], {
    signal: controller.signal,
    onLine: (line) => {
      pids.push(line);
      if (pids.length === 2) controller.abort(new Error('stopped'));
    },
  });
  await expect(running).rejects.toThrow('stopped');
  for (const pid of pids) await isGone(pid);
});

test('its time is over for all of them, even for one that does not listen to SIGTERM', async () => {
  const { lines, isTimedOut, exitCode, killedBy } = await follow(
    'trap "" TERM; sh -c "echo \\$\\$; exec sleep 100"; echo on',
    { timeoutMs: 300 },
  );
  expect({ isTimedOut, exitCode }).toMatchObject({ isTimedOut: true });
  expect([exitCode, killedBy]).toEqual([null, 'SIGKILL']);
  await isGone(lines[0]?.split(' ')[1] ?? '');
}, 20_000);

test('what it leaves running ends with it', async () => {
  const { lines, exitCode } = await follow('sleep 100 & echo $!');
  expect(exitCode).toBe(0);
  await isGone(lines[0]?.split(' ')[1] ?? '');
});

test('a program that is not there is an error with its name', async () => {
  await expect(systemFollow('/no/such', ['a'], { signal: never, onLine: () => undefined })).rejects.toThrow(
    /cannot run \/no\/such a: .*ENOENT/,
  );
});
