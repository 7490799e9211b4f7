import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** One thing in a folder; links are followed. */
export type FolderItem = { name: string; kind: 'file' | 'folder'; executable: boolean };

/** What the reader of elements may ask of a disk; tests hand in a tree that they made up. */
export type ElementFolders = {
  /** @returns undefined where there is no such folder; in bytewise order of names */
  list: (folder: string) => Promise<readonly FolderItem[] | undefined>;
  /** @returns undefined where there is no such file */
  read: (file: string) => Promise<string | undefined>;
};

export const byName = (a: { name: string }, b: { name: string }): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0;

/** The disks of this machine. */
export const diskFolders: ElementFolders = {
  list: async (folder) => {
    const names = await readdir(folder).catch(() => undefined);
    if (names === undefined) return undefined;
    const items = await Promise.all(
      names.map(async (name): Promise<FolderItem> => {
        // A link that leads nowhere is a file that nobody can run.
        const found = await stat(join(folder, name)).catch(() => undefined);
        const kind = found?.isDirectory() ? 'folder' : 'file';
        return { name, kind, executable: kind === 'file' && found !== undefined && (found.mode & 0o111) !== 0 };
      }),
    );
    return items.toSorted(byName);
  },
  read: (file) => readFile(file, 'utf8').catch(() => undefined),
};
