import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { reasonOf } from '../../system/failure.ts';
import type { Architecture } from '../../arch/table.ts';
import { type Base, type Repository } from '../bases.ts';
import { builderFailure } from '../failures.ts';
import { hostFailure } from '../host/failures.ts';
import { downloadAll } from '../host/download.ts';
import type { KeyRing } from './keys.ts';
import { parseRepomd } from './repomd.ts';
import { type RpmTools, runRpm } from './tools.ts';

/** Lists that DNF reads. Others (changelogs, SQLite forms of the same) are not fetched. */
const LISTS = ['primary', 'filelists', 'group', 'group_gz', 'modules', 'updateinfo'];

/** A repository as it lies on this machine, and where its packages are. */
export type LocalRepository = { id: string; folder: string; url: string };

async function fetchText(tools: RpmTools, url: string): Promise<Uint8Array | undefined> {
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of tools.host.fetchBytes(url, tools.signal)) pieces.push(piece);
  } catch (error) {
    tools.signal.throwIfAborted();
    const cause = (error as Error).cause ?? error;
    if (/the server answered 404|ENOENT/.test(reasonOf(cause))) return undefined;
    throw builderFailure('MIRROR_UNREACHABLE', `${url}: ${reasonOf(cause)}`, { cause: error });
  }
  return Buffer.concat(pieces);
}

/** repomd.xml and, where the distribution publishes one, its signature; undefined when the mirror has no such repository. */
async function fetchRoot(tools: RpmTools, url: string, keys: KeyRing, folder: string): Promise<Uint8Array | undefined> {
  const root = join(folder, 'repomd.xml');
  if (tools.host.offline) {
    const kept = await readFile(root).catch(() => undefined);
    const known = kept ?? (await readFile(join(folder, 'absent')).catch(() => undefined));
    if (known === undefined) throw hostFailure('OFFLINE', `there are no package lists of ${url}`);
    return kept;
  }
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const bytes = await fetchText(tools, `${url}repodata/repomd.xml`);
  if (bytes === undefined) {
    await writeFile(join(folder, 'absent'), '');
    return undefined;
  }
  const signature = await fetchText(tools, `${url}repodata/repomd.xml.asc`);
  const candidate = join(folder, 'repomd.xml.unchecked');
  await writeFile(candidate, bytes);
  if (signature !== undefined) {
    await writeFile(join(folder, 'repomd.xml.asc'), signature);
    const args = ['--keyring', keys.file, '--signature-file', join(folder, 'repomd.xml.asc'), candidate];
    await runRpm(tools, 'sqv', args).catch((error: unknown) => {
      tools.signal.throwIfAborted();
      throw builderFailure(
        'BAD_SIGNATURE',
        `the package lists of ${url}: ${reasonOf(error).split('\n').slice(1).join(' ')}`,
        {
          cause: error,
          hint: 'use another mirror; if its key is another one, name it with --key FILE',
        },
      );
    });
  }
  await writeFile(root, bytes);
  return bytes;
}

async function layOut(tools: RpmTools, url: string, root: Uint8Array, folder: string): Promise<void> {
  const lists = parseRepomd(Buffer.from(root).toString('utf8')).filter((one) => LISTS.includes(one.type));
  if (!lists.some((one) => one.type === 'primary'))
    throw builderFailure(
      'MIRROR_UNREACHABLE',
      `${url}: repodata/repomd.xml names no list of packages with a SHA-256 digest`,
    );
  const items = lists.map((one) => ({ ...one, url: url + one.location }));
  const files = await downloadAll(tools.host, items, { signal: tools.signal, onBytes: () => undefined });
  await rm(folder, { recursive: true, force: true });
  for (const [index, list] of lists.entries()) {
    const path = join(folder, list.location);
    await mkdir(dirname(path), { recursive: true });
    await symlink(files[index] ?? '', path);
  }
  await mkdir(join(folder, 'repodata'), { recursive: true });
  await writeFile(join(folder, 'repodata/repomd.xml'), root);
}

/**
 * Brings the lists of a base's repositories to this machine, checked against their digests, so that DNF needs no network.
 * @param mirror without a slash at its end
 * @param folder whoever calls this has it for itself
 * @returns those that the mirror has, and what the absence of the others means
 * @throws Failure `MIRROR_UNREACHABLE`, `BAD_SIGNATURE`, `OFFLINE`, and those of `downloadAll`
 */
export async function readRepositories(
  tools: RpmTools,
  base: Base,
  row: Pick<Architecture, 'rpm'>,
  mirror: string,
  keys: KeyRing,
  folder: string,
): Promise<{ present: LocalRepository[]; absent: Repository[] }> {
  const present: LocalRepository[] = [];
  const absent: Repository[] = [];
  for (const repository of base.rpm?.repositories ?? []) {
    const url = `${mirror}/${repository.path.replace('{arch}', row.rpm)}`;
    const root = await fetchRoot(tools, url, keys, join(folder, 'roots', repository.id));
    if (root !== undefined) {
      const local = join(folder, 'repositories', repository.id);
      await layOut(tools, url, root, local);
      present.push({ id: repository.id, folder: local, url });
    } else if (repository.ifAbsent !== undefined) absent.push(repository);
    else throw builderFailure('MIRROR_UNREACHABLE', `${url}: it has no repodata/repomd.xml`);
  }
  if (present.length > 0) return { present, absent };
  throw builderFailure(
    'MIRROR_UNREACHABLE',
    `${mirror}: it has none of ${absent.map((one) => one.path.replace('{arch}', row.rpm)).join(', ')}`,
  );
}
