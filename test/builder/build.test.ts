import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { bundleAgent } from '../../builder/agent.ts';
import { entryBytes } from '../../builder/tree/bytes.ts';
import { buildRamdisk } from '../../builder/build.ts';
import { toolCommand, toolSysroot } from '../../builder/sysroot.ts';
import { createProgress } from '../../cli/progress.ts';
import { systemRun } from '../../system/run.ts';
import { fakeBuilderHost } from '../fakes/builder-host.ts';

const signal = new AbortController().signal;
const progress = createProgress('silent', { write: () => true });

describe('what build-ramdisk refuses before it touches the network', () => {
  test.each([
    [{ arch: 'vax' }, 'UNKNOWN_ARCH', 'cannot build for vax', 'x86_64'],
    [{ release: 'potato' }, 'UNKNOWN_RELEASE', 'cannot build from release potato', 'trixie'],
    [{ elements: ['nosuch'] }, 'ELEMENT_INVALID', 'cannot use element nosuch', 'agent'],
    [{ compress: 'zip' }, 'USAGE', 'cannot use --compress zip', 'zstd:LEVEL'],
    [{ mirror: ['not-an-address'] }, 'NO_MIRROR', 'is no http, https or file address', '--mirror'],
  ])('%j', async (options, code, text, hint) => {
    await using host = await fakeBuilderHost();
    await expect(buildRamdisk({ host, progress, signal, ...options })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(text) as string,
      hint: expect.stringContaining(hint) as string,
    });
  });

  test('a tool tree for an architecture that there is not', async () => {
    await using host = await fakeBuilderHost();
    await expect(toolSysroot({ host, packages: ['x'], arch: 'vax', progress, signal })).rejects.toMatchObject({
      code: 'UNKNOWN_ARCH',
    });
  });
});

describe('the command line', { timeout: 60_000 }, () => {
  const run = (...args: string[]) =>
    systemRun(process.execPath, ['bin/build-ramdisk.mjs', ...args], { okExitCodes: [0, 1, 2] });

  test('--help says what it makes', async () => {
    const { stdout, exitCode } = await run('--help');
    expect(exitCode).toBe(0);
    for (const word of ['NAME.kernel', '--arch', '--release', '--mirror', '--cache', '--json', 'Exit codes'])
      expect(stdout).toContain(word);
    expect((await run('build', '--help')).stdout).toContain('Usage: build-ramdisk build');
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  test('list names what a build can be asked for', async () => {
    const { stdout, exitCode } = await run('list');
    expect(exitCode).toBe(0);
    for (const word of ['loongarch64', 'trixie', 'agent', 'kernel']) expect(stdout).toContain(word);
    const { architectures } = JSON.parse((await run('list', '--json')).stdout) as { architectures: { name: string }[] };
    expect(architectures.map((one) => one.name)).toEqual(['x86_64', 'aarch64', 'loongarch64']);
  });

  test.each([
    [['--arch', 'vax'], 2, 'cannot build for vax\n  try: use one of x86_64, aarch64, loongarch64'],
    [['--release', 'potato'], 2, 'cannot build from release potato for x86_64\n  try: use one of trixie'],
    [['--arch', 'loong64', '-r', 'trixie'], 2, 'release trixie for loongarch64\n  try: use one of forky'],
    [['--arch', 'all', '-r', 'potato'], 2, 'cannot build from release potato for x86_64'],
    [['surplus'], 1, 'cannot use element surplus'],
    [['plan9'], 1, 'cannot use element plan9'],
    [['debian', 'centos'], 2, 'cannot build from debian and centos at once'],
    [['-o', 'folder/'], 2, 'cannot use --output folder/'],
    [['--nosuch'], 2, 'cannot read the command line'],
  ])('%j ends with %i', async (args, code, text) => {
    const { stderr, exitCode } = await run(...args);
    expect(stderr).toContain(text);
    expect(exitCode).toBe(code);
  });
});

describe('the agent’s bundle', () => {
  test('is one file that Node runs, and that knows where it is', async () => {
    await using host = await fakeBuilderHost();
    const folder = host.cache.root;
    await writeFile(join(folder, 'other.ts'), 'export const words: string = "from the other file";\n');
    await writeFile(
      join(folder, 'main.ts'),
      "import { words } from './other.ts';\nconsole.log(words, import.meta.url);\n",
    );
    const { entries, bundled } = await bundleAgent(join(folder, 'main.ts'), 'opt/ingot/agent.cjs');
    for (const entry of entries) await writeFile(join(folder, basename(entry.path)), await entryBytes(entry));
    const { stdout } = await systemRun(process.execPath, [join(folder, 'agent.cjs')]);
    expect(stdout).toBe(`from the other file file://${folder}/agent.cjs\n`);
    expect(await bundleAgent(join(folder, 'main.ts'), 'opt/ingot/agent.cjs')).toEqual({ entries, bundled: [] });
    expect(entries.map(({ path }) => path)).toEqual(['opt/ingot/agent.cjs']);
    expect(bundled).toEqual([]);
  });

  test('has files of their own for packages that are loaded when they are needed', { timeout: 60_000 }, async () => {
    await using host = await fakeBuilderHost();
    const folder = host.cache.root;
    const { entries } = await bundleAgent('agent/main.ts', 'opt/ingot/agent.cjs');
    const names = entries.map(({ path }) => basename(path));
    expect(names).toEqual(expect.arrayContaining(['agent.cjs', 'tar-stream.cjs', 'undici.cjs', 'yaml.cjs']));
    for (const entry of entries) await writeFile(join(folder, basename(entry.path)), await entryBytes(entry));
    const load = names.map((name) => `console.log(Object.keys(require('./${name}')).join(' '))`).slice(1);
    const { stdout } = await systemRun(process.execPath, ['-e', load.join(';')], { cwd: folder });
    expect(stdout).toMatch(/\brequest\b/);
    expect(stdout).toMatch(/\bparse\b/);
    expect(await readFile(join(folder, 'agent.cjs'), 'utf8')).not.toContain('class EnvHttpProxyAgent');
  });

  test('that cannot be made says which file is at fault', async () => {
    await expect(bundleAgent('/no/such/main.ts', 'x')).rejects.toMatchObject({
      code: 'AGENT_MISSING',
      message: expect.stringContaining('/no/such/main.ts') as string,
    });
  });
});

test('a tool runs by the loader of its own tree', () => {
  expect(toolCommand('/t', '/usr/bin/xz', 'x86_64')).toEqual([
    '/t/lib64/ld-linux-x86-64.so.2',
    '--library-path',
    '/t/usr/lib/x86_64-linux-gnu:/t/usr/lib',
    '/t/usr/bin/xz',
  ]);
});
