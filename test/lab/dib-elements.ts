import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { fetchPackages } from '../../builder/debian/fetch.ts';
import { findMirror } from '../../builder/debian/mirror.ts';
import { resolvePackages } from '../../builder/debian/resolve.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { entryBytes } from '../../builder/tree/bytes.ts';
import type { Progress } from '../../cli/progress.ts';

const PACKAGE = 'python3-diskimage-builder';
const ELEMENTS = 'usr/lib/python3/dist-packages/diskimage_builder/elements/';

/**
 * The element catalogue of diskimage-builder, as Debian trixie packages it, laid out in a folder: it is fetched when it is needed, and
 * none of it is in this project.
 * @returns version of the package
 */
export async function debianDibElements(
  host: BuilderHost,
  folder: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<string> {
  const question = { mirror: await findMirror([]), release: 'trixie', architecture: 'amd64' };
  const resolved = await resolvePackages(host, { ...question, packages: [PACKAGE] }, signal);
  const [found] = await fetchPackages(
    host,
    resolved.filter((one) => one.name === PACKAGE),
    progress,
    signal,
  );
  if (found === undefined) throw new Error(`${PACKAGE} is not in Debian trixie`);
  for (const entry of found.entries) {
    if (!entry.path.startsWith(ELEMENTS)) continue;
    const path = join(folder, entry.path.slice(ELEMENTS.length));
    await mkdir(dirname(path), { recursive: true });
    if (entry.type === 'symlink') await symlink(entry.target, path);
    if (entry.type !== 'file') continue;
    await writeFile(path, await entryBytes(entry));
    await chmod(path, entry.mode);
  }
  return found.version;
}
