import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');

/** Name for what comes of some facts: the same facts, the same name. */
export function keyOf(facts: readonly unknown[]): string {
  return sha256(JSON.stringify(facts));
}

/** Digest of a folder: names, run bits and bytes of all files in it. */
export async function folderDigest(root: string): Promise<string> {
  const found = await readdir(root, { recursive: true, withFileTypes: true });
  const rows = await Promise.all(
    found
      .filter((one) => !one.isDirectory())
      .map(async (one): Promise<[string, number, string]> => {
        const path = join(one.parentPath, one.name);
        const facts = await stat(path).catch(() => undefined); // undefined for a link that leads nowhere
        if (facts === undefined || !facts.isFile()) return [path.slice(root.length), 0, ''];
        return [path.slice(root.length), facts.mode & 0o111 ? 1 : 0, sha256(await readFile(path))];
      }),
  );
  return keyOf(rows.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
