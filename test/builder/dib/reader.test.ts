import { describe, expect, test } from 'vitest';

import { expandDibElements } from '../../../builder/dib/expand.ts';
import { nearest } from '../../../cli/nearest.ts';
import { openCatalogue } from '../../../builder/dib/find.ts';
import { checkSupported, hookOrder, mergeHooks } from '../../../builder/dib/hooks.ts';
import { type FakeFile, fakeFolders, HOOK } from '../../fakes/element-folders.ts';

async function expanded(files: Record<string, FakeFile>, names: string[], options = {}) {
  const catalogue = await openCatalogue(
    ['/e'],
    fakeFolders({ '/e/os/element-provides': 'operating-system', ...files }),
  );
  return expandDibElements([...names, 'os'], catalogue, { base: false, ...options });
}
const namesOf = async (...args: Parameters<typeof expanded>) =>
  (await expanded(...args)).elements.map((one) => one.name);

async function merged(files: Record<string, FakeFile>, ...names: string[]) {
  const elements = names.map((name) => ({ name, folder: `/e/${name}`, deps: [], provides: [] }));
  return mergeHooks(elements, fakeFolders(files));
}

describe('finding elements', () => {
  test('takes the first folder that has a name, and reports what it hides', async () => {
    const folders = fakeFolders({ '/a/one/x': '', '/b/one/x': '', '/b/two/x': '' });
    const catalogue = await openCatalogue(['/a', '/b'], folders);
    expect(catalogue.names).toEqual(['one', 'two']);
    expect((await catalogue.element('one'))?.folder).toBe('/a/one');
    expect(catalogue.shadowed).toEqual([{ name: 'one', folder: '/b/one', by: '/a/one' }]);
  });

  test('says which folder of the path is none', async () => {
    await expect(openCatalogue(['/nowhere'], fakeFolders({}))).rejects.toThrow(
      'cannot look for elements in /nowhere: it is no folder',
    );
  });
});

describe('expanding elements', () => {
  test('puts each after what it needs', async () => {
    const files = { '/e/a/element-deps': 'c\nb\n', '/e/b/element-deps': 'c\n', '/e/c/x': '' };
    expect(await namesOf(files, ['a'])).toEqual(['c', 'b', 'a', 'os']);
  });

  test('puts in base unless it is left out', async () => {
    expect(await namesOf({ '/e/base/x': '' }, [], { base: true })).toEqual(['base', 'os']);
  });

  test('leaves out an element that another provides', async () => {
    const files = { '/e/a/element-deps': 'b\n', '/e/b/element-deps': 'missing\n', '/e/c/element-provides': 'b' };
    expect(await namesOf(files, ['a', 'c'])).toEqual(['a', 'c', 'os']);
  });

  test('names a missing element, who needs it, and the name that was meant', async () => {
    const files = { '/e/a/element-deps': 'opensh-server\n', '/e/openssh-server/x': '' };
    await expect(expanded(files, ['a'])).rejects.toMatchObject({
      message: 'cannot find element opensh-server, which a needs',
      hint: expect.stringContaining('did you mean openssh-server?') as string,
    });
  });

  test('names the loop of elements that need each other', async () => {
    const files = { '/e/a/element-deps': 'b', '/e/b/element-deps': 'c', '/e/c/element-deps': 'b' };
    await expect(expanded(files, ['a'])).rejects.toThrow('cannot order elements: b needs c needs b');
  });

  test('refuses two providers of one thing, and one that is asked for besides its provider', async () => {
    const files = { '/e/a/element-provides': 'x', '/e/b/element-provides': 'x', '/e/x/f': '' };
    await expect(expanded(files, ['a', 'b'])).rejects.toThrow('a and b both provide x');
    await expect(expanded(files, ['a', 'x'])).rejects.toThrow('a stands for x, which was asked for, too');
  });

  test('needs exactly one operating system', async () => {
    const catalogue = await openCatalogue(['/e'], fakeFolders({ '/e/a/x': '' }));
    await expect(expandDibElements(['a'], catalogue, { base: false })).rejects.toThrow('without an operating system');
    await expect(expanded({ '/e/other/element-provides': 'operating-system' }, ['other'])).rejects.toThrow(
      'other and os both provide operating-system',
    );
  });

  test('asks nothing of a name that something else answers for', async () => {
    const files = { '/e/a/element-deps': 'pkg-map\n' };
    const found = await expanded(files, ['a'], { isReplaced: (name: string) => name === 'pkg-map' });
    expect(found.replaced).toEqual([{ name: 'pkg-map', neededBy: 'a' }]);
  });

  test('suggests nothing when no name is near', () => {
    expect(nearest('qwertyuiop', ['vim', 'base'])).toBeUndefined();
  });
});

describe('merging hooks', () => {
  test('runs them by number, then by name', () => {
    const names = ['9-a', '10-b', '010-a', '99-z', 'plain', '10-a'];
    expect(names.toSorted(hookOrder)).toEqual(['plain', '9-a', '010-a', '10-a', '10-b', '99-z']);
  });

  test('takes scripts of all elements, and files of environment.d whatever their names and modes', async () => {
    const found = await merged(
      {
        '/e/a/install.d/50-two': HOOK,
        '/e/b/install.d/10-one': HOOK,
        '/e/b/install.d/data.conf': '',
        '/e/b/install.d/thing-source-install/60-three': HOOK,
        '/e/b/install.d/thing-package-install/61-four': HOOK,
        '/e/a/environment.d/10-x.bash': '',
        '/e/b/environment.d/9-y': HOOK,
        '/e/a/tests/install.d/1-no': HOOK,
      },
      'a',
      'b',
    );
    expect(found.scripts.get('install')?.map((one) => one.path)).toEqual([
      'install.d/10-one',
      'install.d/50-two',
      'install.d/60-three',
    ]);
    expect(found.environment.map((one) => one.path)).toEqual(['environment.d/9-y', 'environment.d/10-x.bash']);
    expect(found.files.map((one) => one.path)).toContain('install.d/data.conf');
    expect(found.problems).toEqual([]);
  });

  test('refuses one file from two elements', async () => {
    const files = { '/e/a/install.d/10-x': HOOK, '/e/b/install.d/10-x': HOOK };
    await expect(merged(files, 'a', 'b')).rejects.toThrow('cannot merge elements: a and b both bring install.d/10-x');
    const deep = { '/e/a/static/etc/x': '', '/e/b/static/etc/x': '' };
    await expect(merged(deep, 'a', 'b')).rejects.toThrow('a and b both bring static/etc/x');
  });

  test('names a hook without a run bit, and one with a dot in its name', async () => {
    const found = await merged(
      { '/e/a/install.d/10-x': '', '/e/a/pre-install.d/20-y.sh': HOOK, '/e/a/install.d/helper.sh': HOOK },
      'a',
    );
    expect(
      found.problems.map(({ file, reason, hint, severity }) => ({ path: file.path, reason, hint, severity })),
    ).toEqual([
      {
        path: 'pre-install.d/20-y.sh',
        reason: 'its name has a dot, and only letters, digits, - and _ may be in it',
        hint: 'rename it to 20-y',
        severity: 'error',
      },
      { path: 'install.d/10-x', reason: 'it has no run bit', hint: 'chmod +x /e/a/install.d/10-x', severity: 'error' },
      {
        path: 'install.d/helper.sh',
        reason: 'its name has a dot, and only letters, digits, - and _ may be in it',
        hint: 'rename it to helper',
        severity: 'warning',
      },
    ]);
  });

  test('refuses elements for other kinds of images, by the folder or file that shows it', async () => {
    const element = (name: string) => ({ name, folder: `/e/${name}`, deps: [], provides: [] });
    const folders = fakeFolders({
      '/e/a/init.d/10-x': HOOK,
      '/e/b/block-device-default.yaml': '',
      '/e/c/install.d/1-x': HOOK,
    });
    await expect(checkSupported([element('a')], folders)).rejects.toThrow(
      'cannot use element a: its init.d has no effect',
    );
    await expect(checkSupported([element('b')], folders)).rejects.toThrow('block-device-default.yaml');
    await expect(checkSupported([element('c')], folders)).resolves.toBeUndefined();
  });
});
