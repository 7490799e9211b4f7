import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findArchitecture } from '../../arch/table.ts';
import { checkElement } from '../../builder/element/element.ts';
import { elementFiles, elementNames, ELEMENTS_FOLDER, expandElements } from '../../builder/elements.ts';
import { makePlan, packageOwners } from '../../builder/plan.ts';

const row = findArchitecture('x86_64');
if (row === undefined) throw new Error('no row for x86_64');

describe('the elements that come with Ingot', () => {
  test('are all well-formed, and the agent needs every one of them, base first', async () => {
    const elements = await expandElements(['agent']);
    expect(elements.map((one) => one.name)).toEqual(['base', 'init', 'kernel', 'tools', 'agent']);
    expect(await elementNames(ELEMENTS_FOLDER)).toEqual(elements.map((one) => one.name).toSorted());
  });

  test('bring scripts that init and udev can run', async () => {
    const files = [...(await elementFiles('init')), ...(await elementFiles('agent'))];
    const modes = Object.fromEntries(files.map((entry) => [entry.path, entry.mode]));
    for (const script of ['sysinit', 'dhcp', 'udhcpc', 'agent']) expect(modes[`etc/ingot/${script}`]).toBe(0o755);
    expect(modes['etc/inittab']).toBe(0o644);
  });

  test('name no kernel module twice', async () => {
    const { modules } = makePlan(await expandElements(['agent']), row);
    const names = modules.map((one) => one.name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });
});

describe('elements in a folder', () => {
  let folder = '';
  const write = async (name: string, fields: object) => {
    await mkdir(join(folder, name, 'files/etc'), { recursive: true });
    await writeFile(
      join(folder, name, 'element.ts'),
      `export const element = ${JSON.stringify({ name, summary: 's', ...fields })};\n`,
    );
  };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ingot-elements-'));
    await write('one', { needs: ['two', 'three'] });
    await write('two', { needs: ['three'] });
    await write('three', {});
    await write('snake', { needs: ['tail'] });
    await write('tail', { needs: ['snake'] });
    await write('wrong', { packages: [{ name: 'x' }] });
    await writeFile(join(folder, 'three/files/etc/plain'), 'x', { mode: 0o666 });
    await writeFile(join(folder, 'three/files/etc/run'), 'x');
    await chmod(join(folder, 'three/files/etc/run'), 0o700);
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('come after what they need', async () => {
    expect((await expandElements(['one'], folder)).map((one) => one.name)).toEqual(['three', 'two', 'one']);
  });

  test.each([
    ['snake', 'it needs itself: snake -> tail -> snake'],
    ['nosuch', 'nosuch: there is none in'],
    ['wrong', 'wrong: packages.0'],
  ])('%s is refused', async (name, why) => {
    await expect(expandElements([name], folder)).rejects.toMatchObject({
      code: 'ELEMENT_INVALID',
      message: expect.stringContaining(why) as string,
    });
  });

  test('an element that does not exist lists those that do', async () => {
    await expect(expandElements(['nosuch'], folder)).rejects.toMatchObject({
      hint: expect.stringContaining('one, snake, tail') as string,
    });
  });

  test('their files have modes that do not depend on the umask', async () => {
    const files = await elementFiles('three', folder);
    expect(files.map((entry) => [entry.path, entry.mode, entry.uid])).toEqual([
      ['etc/plain', 0o644, 0],
      ['etc/run', 0o755, 0],
    ]);
  });
});

test('an element must have its folder’s name', () => {
  expect(() => checkElement({ name: 'a', summary: 's' }, 'b')).toThrow('b: it calls itself a');
  expect(() => checkElement(undefined, 'b')).toThrow('cannot use element b');
});

describe('plans', () => {
  const packages = [{ name: 'x', reason: 'r', only: ['a'] }];
  const plan = makePlan(
    [
      { name: 'a', summary: 's', packages: [...packages, { name: '{kernel}', reason: 'r' }], prune: { p: 'r' } },
      {
        name: 'b',
        summary: 's',
        packages: [
          { name: 'x', reason: 'r', only: ['b'] },
          { name: 'y', reason: 'r' },
        ],
        without: { z: 'r' },
      },
    ],
    row,
  );

  test('join what several elements want of one package', () => {
    expect(plan.packages.map(({ name, only, element }) => [name, only, element])).toEqual([
      ['x', ['a', 'b'], 'a'],
      ['linux-image-amd64', undefined, 'a'],
      ['y', undefined, 'b'],
    ]);
    expect([plan.without, plan.prune]).toEqual([['z'], ['p']]);
  });

  test('say for whom a dependency is there', () => {
    const make = (name: string, depends: string[], provides: string[] = []) => ({
      name,
      depends,
      provides,
      version: '1',
      architecture: 'all',
      url: '',
      sha256: '',
      sizeBytes: 0,
    });
    const owners = packageOwners(plan, [
      make('x', ['lib']),
      make('lib', []),
      make('y', ['virtual', 'lib']),
      make('real', [], ['virtual']),
    ]);
    expect(Object.fromEntries(owners)).toEqual({ x: 'a', lib: 'a', y: 'b', real: 'b' });
  });
});
