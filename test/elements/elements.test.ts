import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { findArchitecture } from '../../arch/table.ts';
import { checkElement } from '../../builder/element/element.ts';
import { allElements, elementFiles, expandElements } from '../../builder/elements.ts';
import { makePlan, packageOwners } from '../../builder/plan.ts';

const row = findArchitecture('x86_64');
if (row === undefined) throw new Error('no row for x86_64');

describe('the elements that come with Ingot', () => {
  test('are all well-formed, and the agent needs every one of them, base first', async () => {
    const elements = await expandElements(['agent']);
    expect(elements.map((one) => one.name)).toEqual(['base', 'init', 'kernel', 'software-raid', 'tools', 'agent']);
  });

  test('declare each variable once, and none in vain', async () => {
    const elements = await allElements({ folders: [] });
    expect(elements.length).toBeGreaterThan(8);
    const names = elements.flatMap((one) => Object.keys(one.env ?? {}));
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    for (const { name, env, ...rest } of elements)
      for (const variable of Object.keys(env ?? {}))
        expect(JSON.stringify(rest), `${name} declares ${variable}`).toContain(variable);
  });

  test('start only programs that they or what they need bring', async () => {
    for (const { name } of await allElements({ folders: [] })) {
      const needed = await expandElements([name]);
      const links = needed.flatMap((one) => Object.keys(one.links ?? {}));
      const own = (await Promise.all(needed.map(elementFiles))).flat();
      const programs = [...links, ...own.filter((entry) => entry.mode === 0o755).map((entry) => entry.path)];
      const started = needed.flatMap((one) => Object.values(one.services ?? {}).map(({ run }) => run.slice(1)));
      expect(started.filter((path) => !programs.includes(path))).toEqual([]);
    }
  });

  test('have the names that people know from diskimage-builder', async () => {
    const known = ['burn-in', 'deploy-baremetal', 'devuser', 'dhcp-all-interfaces', 'dynamic-login', 'extra-hardware'];
    known.push('openssh-server', 'runtime-ssh-host-keys', 'simple-init');
    const shipped = (await allElements({ folders: [] })).map((one) => one.name);
    expect(shipped).toEqual(expect.arrayContaining(known));
  });

  test('bring scripts that init and udev can run', async () => {
    const files = (await Promise.all((await expandElements(['agent'])).map(elementFiles))).flat();
    const modes = Object.fromEntries(files.map((entry) => [entry.path, entry.mode]));
    for (const script of ['sysinit', 'dhcp', 'udhcpc', 'dhcp6', 'udhcpc6', 'agent'])
      expect(modes[`etc/ingot/${script}`]).toBe(0o755);
  });

  test('name no kernel module twice', async () => {
    const { modules } = makePlan(await expandElements(['agent']), row);
    const names = modules.map((one) => one.name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });
});

describe('elements in a folder', () => {
  let folder = '';
  let other = '';
  const write = async (name: string, fields: object) => {
    await mkdir(join(folder, name, 'files/etc'), { recursive: true });
    await writeFile(
      join(folder, name, 'element.ts'),
      `export const element = ${JSON.stringify({ name, summary: 's', ...fields })};\n`,
    );
  };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ingot-elements-'));
    other = await mkdtemp(join(tmpdir(), 'ingot-elements-'));
    await write('one', { needs: ['two', 'three'] });
    await write('two', { needs: ['three'] });
    await write('three', {});
    await write('snake', { needs: ['tail'] });
    await write('tail', { needs: ['snake'] });
    await write('wrong', { packages: [{ name: 'x' }] });
    await write('surplus', { package: [] });
    await write('reader', { needs: ['some-editor'] });
    await write('writer', { needs: ['some-printer'] });
    await write('vi', { provides: ['some-editor'] });
    await write('ed', { provides: ['some-editor'] });
    await write('line-printer', { provides: ['some-printer'] });
    await write('modern', { conflicts: { ed: 'one editor is enough' } });
    await mkdir(join(folder, 'plain-json'));
    await writeFile(join(folder, 'plain-json/element.json'), '{"name": "plain-json", "summary": "s"}');
    await mkdir(join(folder, 'broken-json'));
    await writeFile(join(folder, 'broken-json/element.json'), '{');
    await mkdir(join(other, 'three'), { recursive: true });
    await writeFile(join(other, 'three/element.json'), '{"name": "three", "summary": "the other one"}');
    await writeFile(join(folder, 'three/files/etc/plain'), 'x', { mode: 0o666 });
    await writeFile(join(folder, 'three/files/etc/run'), 'x');
    await chmod(join(folder, 'three/files/etc/run'), 0o700);
  });
  afterAll(() => Promise.all([folder, other].map((one) => rm(one, { recursive: true }))));

  test('come after what they need', async () => {
    expect((await expandElements(['one'], { folders: [folder] })).map((one) => one.name)).toEqual([
      'three',
      'two',
      'one',
    ]);
  });

  test.each([
    ['snake', 'ELEMENT_CYCLE', 'snake -> tail -> snake: each comes after the next'],
    ['nosuch', 'ELEMENT_INVALID', 'nosuch: there is none in'],
    ['wrong', 'ELEMENT_INVALID', 'wrong: packages.0'],
    ['surplus', 'ELEMENT_INVALID', 'surplus: package'],
    ['broken-json', 'ELEMENT_INVALID', 'element.json cannot be read'],
    ['reader', 'ELEMENT_INVALID', 'some-editor: there is none in'],
    ['vi ed', 'ELEMENT_CONFLICT', 'ed and vi are both some-editor'],
    ['modern ed', 'ELEMENT_CONFLICT', 'modern and ed: one editor is enough'],
  ])('%s is refused', async (names, code, why) => {
    await expect(expandElements(names.split(' '), { folders: [folder] })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(why) as string,
    });
  });

  test('a name that several provide is that of the one that is named, and a name that one provides brings it', async () => {
    const names = async (...wanted: string[]) =>
      (await expandElements(wanted, { folders: [folder] })).map((one) => one.name);
    expect(await names('reader', 'vi')).toEqual(['vi', 'reader']);
    expect(await names('writer')).toEqual(['line-printer', 'writer']);
    expect(await names('some-printer')).toEqual(['line-printer']);
    await expect(names('reader')).rejects.toMatchObject({ hint: 'name the one of ed, vi that is to be some-editor' });
  });

  test('the first folder that has an element wins, and the other is said', async () => {
    const said: string[] = [];
    const search = { folders: [other, folder], onShadow: (message: string) => said.push(message) };
    const [three] = await expandElements(['three', 'plain-json'].slice(0, 1), search);
    expect(three).toMatchObject({ summary: 'the other one', home: join(other, 'three') });
    expect(said).toEqual([
      `element three is that of ${join(other, 'three')}, and not that of ${join(folder, 'three')}`,
    ]);
    expect(await expandElements(['plain-json'], search)).toMatchObject([{ summary: 's' }]);
  });

  test('a name that is nearly one says which', async () => {
    await expect(expandElements(['devusr'])).rejects.toMatchObject({
      hint: expect.stringMatching(/^did you mean devuser\?/) as string,
    });
  });

  test('an element that does not exist lists those that do', async () => {
    await expect(expandElements(['nosuch'], { folders: [folder] })).rejects.toMatchObject({
      hint: expect.stringContaining('line-printer, login, modern, one') as string,
    });
  });

  test('their files have modes that do not depend on the umask', async () => {
    const files = await elementFiles({ home: join(folder, 'three') });
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
