import { byName, type ElementFolders, type FolderItem } from '../../builder/dib/folders.ts';

/** A file as its content, or as a content with a run bit. */
export type FakeFile = string | { text?: string; executable: boolean };

/** Folders of elements that are only in memory: path to file. */
export function fakeFolders(files: Readonly<Record<string, FakeFile>>): ElementFolders {
  const paths = new Map(Object.entries(files));
  return {
    list: (folder) => {
      const items = new Map<string, FolderItem>();
      for (const [path, file] of paths) {
        if (!path.startsWith(`${folder}/`)) continue;
        const [name = '', ...rest] = path.slice(folder.length + 1).split('/');
        if (rest.length > 0) items.set(name, { name, kind: 'folder', executable: false });
        else items.set(name, { name, kind: 'file', executable: typeof file !== 'string' && file.executable });
      }
      return Promise.resolve(items.size === 0 ? undefined : [...items.values()].toSorted(byName));
    },
    read: (path) => {
      const file = paths.get(path);
      return Promise.resolve(typeof file === 'string' ? file : file && (file.text ?? ''));
    },
  };
}

/** A hook: a file with a run bit. */
export const HOOK: FakeFile = { executable: true };
