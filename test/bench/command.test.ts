import { expect, test } from 'vitest';

import { systemRun } from '../../system/run.ts';

const bench = (...args: string[]) =>
  systemRun(process.execPath, ['bench/main.ts', ...args], { okExitCodes: [0, 1, 2], timeoutMs: 60_000 });

test('npm run bench -- --help lists the benches, and each has a help of its own', async () => {
  const { stdout, exitCode } = await bench('--help');
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^ {2}ramdisk /m);
  expect((await bench('ramdisk', '--help')).stdout).toMatch(/--rounds N/);
});

test('a bench that there is not, and a number that makes no sense, are refused with exit code 2', async () => {
  expect(await bench('ramdsik')).toMatchObject({
    exitCode: 2,
    stderr: expect.stringMatching(/try: ramdisk/) as string,
  });
  expect(await bench('ramdisk', '--rounds', '0')).toMatchObject({
    exitCode: 2,
    stderr: expect.stringMatching(/cannot use --rounds 0/) as string,
  });
});
