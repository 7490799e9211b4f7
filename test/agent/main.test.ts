import { existsSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { AGENT_VERSION } from '../../agent/api/version.ts';
import { systemRun } from '../../system/run.ts';

const agent = (...args: string[]) =>
  systemRun(process.execPath, ['agent/main.ts', ...args], { okExitCodes: [0, 1, 2, 70], timeoutMs: 20_000 });

describe('the command line of ingot-agent', () => {
  test('has help and a version', async () => {
    const help = await agent('--help');
    expect(help.exitCode).toBe(0);
    expect(help.stdout).toContain('--standalone');
    expect((await agent('--version')).stdout).toBe(`${AGENT_VERSION}\n`);
  });

  test.skipIf(existsSync('/etc/ingot-release'))(
    'without arguments refuses to run on a machine that is no ramdisk',
    async () => {
      const { exitCode, stderr } = await agent();
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/^cannot run as the agent: this is not a deploy ramdisk.*\n {2}try: /);
    },
  );

  test('names what it does not understand', async () => {
    const { exitCode, stderr } = await agent('frobnicate');
    expect(exitCode).toBe(2);
    expect(stderr).toContain('cannot understand "frobnicate"');
  });

  test('names a kernel parameter that it cannot use', async () => {
    const { exitCode, stderr } = await agent('--standalone', '--kernel-parameters', 'ipa-listen-port=x');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('cannot use kernel parameter ipa-listen-port=x: a port number from 1 to 65535 is needed');
  });
});
