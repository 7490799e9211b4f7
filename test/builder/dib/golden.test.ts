import { readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { expandDibElements } from '../../../builder/dib/expand.ts';
import { openCatalogue } from '../../../builder/dib/find.ts';
import { mergeHooks } from '../../../builder/dib/hooks.ts';
import { type FakeFile, fakeFolders } from '../../fakes/element-folders.ts';

type Listed = { deps?: string[]; provides?: string[]; executable?: string[]; plain?: string[] };
type Listing = { commit: string; elements: Record<string, Listed> };

/** What is recorded of the two upstream catalogues, at the commits that the numbers below were counted at. */
const recorded = JSON.parse(readFileSync('test/fixtures/dib/catalogue.json', 'utf8')) as Record<string, Listing>;
const ROOMS = ['ironic-python-agent-builder', 'diskimage-builder'] as const;

/** The tree of both catalogues, rebuilt from names and modes. */
function upstream() {
  const files: Record<string, FakeFile> = {};
  for (const room of ROOMS) {
    for (const [name, element] of Object.entries(recorded[room]?.elements ?? {})) {
      const put = (path: string, file: FakeFile) => (files[`/${room}/${name}/${path}`] = file);
      put('README.rst', '');
      if (element.deps) put('element-deps', element.deps.join('\n'));
      if (element.provides) put('element-provides', element.provides.join('\n'));
      for (const path of element.executable ?? []) put(path, { executable: true });
      for (const path of element.plain ?? []) put(path, '');
    }
  }
  return fakeFolders(files);
}

async function read(names: readonly string[]) {
  const folders = upstream();
  const catalogue = await openCatalogue(
    ROOMS.map((room) => `/${room}`),
    folders,
  );
  const { elements } = await expandDibElements(names, catalogue);
  const { scripts, environment, problems, files } = await mergeHooks(
    // In a ramdisk build these two have no disk to lay out; the golden sets have none of their folders.
    elements,
    folders,
  );
  const phases = Object.fromEntries(
    [...scripts].map(([phase, list]) => [phase, list.map((one) => one.path.split('/').at(-1) ?? '')]),
  );
  const counts = Object.fromEntries(Object.entries(phases).map(([phase, list]) => [phase, list.length]));
  const hooks = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return { elements, phases, counts, hooks, environment, problems, files };
}

const AGENT = 'ironic-python-agent-ramdisk';
const SEED = [AGENT, 'openeuler-minimal', 'devuser', 'dynamic-login', 'dhcp-all-interfaces', 'deploy-baremetal'];

describe('the whole catalogue', () => {
  test('is that of the commits whose counts are known', () => {
    expect(recorded['diskimage-builder']?.commit).toMatch(/^ece6a6e9/);
    expect(recorded['ironic-python-agent-builder']?.commit).toMatch(/^012f3cf/);
    expect(Object.keys(recorded['diskimage-builder']?.elements ?? {})).toHaveLength(128);
  });
});

describe('the openEuler command line that the project is known by', () => {
  test('has 36 elements and 76 hooks, phase by phase', async () => {
    const found = await read(SEED);
    expect(found.elements).toHaveLength(36);
    expect(found.environment).toHaveLength(14);
    expect(found.counts).toEqual({
      root: 3,
      'extra-data': 10,
      'pre-install': 18,
      install: 18,
      'post-install': 17,
      'post-root': 0,
      'pre-finalise': 0,
      finalise: 2,
      cleanup: 8,
    });
    expect(found.hooks).toBe(76);
  });

  test('ends in this order', async () => {
    expect((await read(SEED)).phases['cleanup']).toEqual([
      '01-copy-manifests-dir',
      '50-dib-python',
      '90-remove-ssh-host-keys',
      '95-remove-yum-mirror',
      '98-prepare-resolve-conf',
      '99-ramdisk-create',
      '99-remove-yum-repo-conf',
      '99-selinux-fixfiles-restore',
    ]);
  });

  test('is the same whatever the order of the names', async () => {
    const one = await read(SEED);
    const other = await read(SEED.toReversed());
    expect(other.phases).toEqual(one.phases);
    expect(other.elements.map((element) => element.name).toSorted()).toEqual(
      one.elements.map((element) => element.name).toSorted(),
    );
  });

  test('has no hook that looks forgotten', async () => {
    expect((await read(SEED)).problems.filter((one) => one.severity === 'error')).toEqual([]);
  });
});

describe('the same for Debian', () => {
  test('has 28 elements and 66 hooks, phase by phase', async () => {
    const found = await read([AGENT, 'debian-minimal']);
    expect(found.elements).toHaveLength(28);
    expect(found.environment).toHaveLength(14);
    expect(found.counts).toEqual({
      root: 8,
      'extra-data': 9,
      'pre-install': 10,
      install: 18,
      'post-install': 9,
      'post-root': 0,
      'pre-finalise': 0,
      finalise: 3,
      cleanup: 9,
    });
    expect(found.hooks).toBe(66);
  });
});
