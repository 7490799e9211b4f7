import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

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

  test('shows what the agent would go by, on any machine', async () => {
    const { exitCode, stdout } = await agent('config', '--json', '--kernel-parameters', 'ipa-lookup-timeout=7');
    expect(exitCode).toBe(0);
    const { settings } = JSON.parse(stdout) as { settings: unknown[] };
    expect(settings).toContainEqual({
      name: 'lookup_timeout',
      value: '7',
      from: 'kernel command line (ipa-lookup-timeout)',
    });
  });

  test('names a kernel parameter that it cannot use', async () => {
    const { exitCode, stderr } = await agent('--standalone', '--kernel-parameters', 'ipa-listen-port=x');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('cannot use kernel parameter ipa-listen-port=x: a port number from 1 to 65535 is needed');
  });

  test('shows the steps that plug-ins of a folder have, and fails when one of them is broken', async () => {
    const path = await mkdtemp(join(tmpdir(), 'ingot-steps-'));
    onTestFinished(() => rm(path, { recursive: true }));
    const manifest = { version: '2', run: '/bin/true', steps: [{ step: 'do_it', priorities: { clean: 3 } }] };
    await writeFile(join(path, 'good.json'), JSON.stringify(manifest));
    const good = await agent('steps', path);
    expect(good.exitCode).toBe(0);
    expect(good.stdout).toMatch(
      /^generic_hardware_manager 1\.2, support 1\n {2}erase_devices_metadata {2}deploy {2}clean 99/,
    );
    expect(good.stdout).toContain('good 2, support 3\n  do_it  deploy  clean 3\n');
    await writeFile(join(path, 'bad.json'), '{}');
    const bad = await agent('steps', path, '--json');
    expect(bad.exitCode).toBe(1);
    expect(bad.stderr).toContain(`cannot use plug-in ${path}/bad.json`);
    expect(JSON.parse(bad.stdout)).toMatchObject({
      clean_steps: { good: [{ step: 'do_it', priority: 3 }] },
      hardware_manager_version: { good: '2' },
      broken: [`${path}/bad.json`],
    });
  });
});
