import { describe, expect, test } from 'vitest';

import { OWN_ELEMENTS, readDibElements } from '../../../builder/dib/recipe.ts';
import { type FakeFile, fakeFolders, HOOK } from '../../fakes/element-folders.ts';

/** Our own stand-ins are on disk; here one name each is enough. */
const OWN: Record<string, FakeFile> = Object.fromEntries(
  ['base', 'package-installs', 'install-static', 'dib-init-system'].map((name) => [
    `${OWN_ELEMENTS}/${name}/README`,
    '',
  ]),
);

function read(files: Record<string, FakeFile>, names: string[], env: Record<string, string> = {}) {
  return readDibElements({
    names,
    path: ['/e'],
    isNative: (name) => name === 'openssh-server',
    env,
    folders: fakeFolders({ ...OWN, '/e/os/README': '', ...files }),
  });
}

describe('what elements of diskimage-builder bring', () => {
  test('leaves plumbing to the engine, logins to Ingot, and the operating system to the base', async () => {
    const recipe = await read(
      { '/e/mine/element-deps': 'package-installs\nopenssh-server\ndebian-minimal\n', '/e/mine/install.d/10-x': HOOK },
      ['mine'],
    );
    expect(recipe.elements.map((one) => one.name)).toEqual(['base', 'package-installs', 'mine']);
    expect(recipe.foreign.map((one) => one.name)).toEqual(['mine']);
    expect(recipe.native).toEqual(['openssh-server']);
    expect(recipe.warnings).toEqual([]);
  });

  test('prefers its own plumbing to that of the path, without a word', async () => {
    const recipe = await read({ '/e/package-installs/install.d/01-x': HOOK }, ['package-installs']);
    expect(recipe.foreign).toEqual([]);
    expect(recipe.warnings).toEqual([]);
  });

  test('takes deploy-baremetal with a warning, and without any effect', async () => {
    const recipe = await read({}, ['deploy-baremetal', 'ironic-python-agent-ramdisk', 'debian-minimal']);
    expect(recipe.foreign).toEqual([]);
    expect(recipe.warnings).toEqual([expect.stringContaining('element deploy-baremetal has no effect')]);
  });

  test('refuses what makes a disk, and says who needs it', async () => {
    await expect(read({}, ['vm'])).rejects.toThrow('cannot use element vm: it lays out or boots a disk');
    await expect(read({ '/e/mine/element-deps': 'grub2' }, ['mine'])).rejects.toThrow(
      'cannot use element grub2, which mine needs',
    );
    await expect(read({ '/e/mine/init.d/10-x': HOOK }, ['mine'])).rejects.toThrow('its init.d has no effect here');
  });

  test('refuses a hook without a run bit and one with a dot in its name, with the way out', async () => {
    await expect(read({ '/e/mine/install.d/10-x': '' }, ['mine'])).rejects.toMatchObject({
      message: 'cannot run a hook: install.d/10-x of element mine would not run: it has no run bit',
      hint: 'chmod +x /e/mine/install.d/10-x',
    });
    await expect(read({ '/e/mine/install.d/10-x.sh': HOOK }, ['mine'])).rejects.toMatchObject({
      message: expect.stringContaining('install.d/10-x.sh of element mine would not run: its name has a dot') as string,
      hint: 'rename it to 10-x',
    });
  });

  test('only warns of them where DIB_COMPAT=bug asks for what diskimage-builder does', async () => {
    const recipe = await read({ '/e/mine/install.d/10-x': '' }, ['mine'], { DIB_COMPAT: 'bug' });
    expect(recipe.warnings).toEqual([expect.stringContaining('install.d/10-x of element mine would not run')]);
  });

  test('names the systemd units that nothing will start', async () => {
    const recipe = await read(
      {
        '/e/mine/static/usr/lib/systemd/system/one.service': '',
        '/e/mine/init-scripts/systemd/two.timer': '',
        '/e/mine/init-scripts/upstart/three.conf': '',
      },
      ['mine'],
    );
    expect(recipe.warnings).toEqual([
      expect.stringMatching(/^nothing starts the systemd units two\.timer \(mine\), one\.service \(mine\):/),
    ]);
  });

  test('says which of two elements of one name it takes', async () => {
    const recipe = await readDibElements({
      names: ['mine'],
      path: ['/a', '/b'],
      isNative: () => false,
      env: {},
      folders: fakeFolders({ ...OWN, '/a/mine/x': '', '/b/mine/x': '' }),
    });
    expect(recipe.warnings).toEqual(['element mine is taken from /a/mine; the one in /b/mine is not used']);
  });
});
