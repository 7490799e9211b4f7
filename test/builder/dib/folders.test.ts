import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { diskFolders } from '../../../builder/dib/folders.ts';

test('a folder on disk is read with run bits, and through links', async () => {
  const root = await mkdtemp(join(tmpdir(), 'ingot-test-elements-'));
  try {
    await mkdir(join(root, 'folder'));
    await writeFile(join(root, 'b-plain'), 'text\n');
    await writeFile(join(root, 'a-hook'), '');
    await chmod(join(root, 'a-hook'), 0o755);
    await symlink('a-hook', join(root, 'c-link'));
    await symlink('nowhere', join(root, 'd-broken'));
    await symlink('folder', join(root, 'e-folder'));
    expect(await diskFolders.list(root)).toEqual([
      { name: 'a-hook', kind: 'file', executable: true },
      { name: 'b-plain', kind: 'file', executable: false },
      { name: 'c-link', kind: 'file', executable: true },
      { name: 'd-broken', kind: 'file', executable: false },
      { name: 'e-folder', kind: 'folder', executable: false },
      { name: 'folder', kind: 'folder', executable: false },
    ]);
    expect(await diskFolders.read(join(root, 'b-plain'))).toBe('text\n');
    expect(await diskFolders.list(join(root, 'none'))).toBeUndefined();
    expect(await diskFolders.read(join(root, 'none'))).toBeUndefined();
  } finally {
    await rm(root, { recursive: true });
  }
});
