import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { AGENT_VERSION } from '../../agent/api/version.ts';
import { systemRun } from '../../system/run.ts';

const version = (env: Record<string, string>) =>
  systemRun(process.execPath, ['bin/ingot-agent.mjs', '--version'], { env, timeoutMs: 25_000 });

test('a program keeps what Node made of its sources in the user’s cache', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-launch-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  expect((await version({ XDG_CACHE_HOME: folder })).stdout).toBe(`${AGENT_VERSION}\n`);
  expect(await readdir(join(folder, 'ingot/compiled'))).toHaveLength(1);
  expect((await version({ XDG_CACHE_HOME: folder })).stdout).toBe(`${AGENT_VERSION}\n`);
});

test('a program starts where there is no place for a cache', async () => {
  expect(await version({ XDG_CACHE_HOME: '/dev/null/nowhere' })).toMatchObject({
    stdout: `${AGENT_VERSION}\n`,
    stderr: '',
  });
});
