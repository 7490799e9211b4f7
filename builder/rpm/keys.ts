import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { reasonOf } from '../../system/failure.ts';
import type { Base } from '../bases.ts';
import { builderFailure } from '../failures.ts';
import { type RpmTools, runRpm } from './tools.ts';

const OWN_KEYS = join(dirname(fileURLToPath(import.meta.url)), 'keys');

/** Keys that packages have to be signed with. */
export type KeyRing = {
  /** Digest of all of them. */
  digest: string;
  /** One file with all of them, armoured. */
  file: string;
  /** A database of rpm's with these keys and nothing else. */
  database: string;
};

async function readKey(path: string): Promise<string> {
  try {
    const text = await readFile(path, 'utf8');
    if (!text.includes('-----BEGIN PGP PUBLIC KEY BLOCK-----')) throw new Error('it is no armoured public key');
    return `${text.trim()}\n`;
  } catch (error) {
    throw builderFailure('NO_KEY', `${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * The keys of a base: those that come with Ingot or with Debian's distribution-gpg-keys, or a file instead of them.
 * @param given `--key`
 * @throws Failure `NO_KEY`
 */
export async function openKeys(tools: RpmTools, base: Base, given: readonly string[]): Promise<KeyRing> {
  const distribution = join(tools.root, 'usr/share/distribution-gpg-keys');
  const known = (base.rpm?.keys ?? []).map((key) =>
    'own' in key ? join(OWN_KEYS, key.own) : join(distribution, key.debian),
  );
  const texts = await Promise.all((given.length > 0 ? given : known).map(readKey));
  const digest = createHash('sha256').update(texts.join('')).digest('hex');
  const folder = await tools.host.cache.directory('rpm-keys', digest, async (made) => {
    const file = join(made, 'keys.asc');
    await writeFile(file, texts.join(''));
    const database = join(made, 'database');
    await mkdir(database);
    for (const [index, text] of texts.entries()) {
      const one = join(made, `${index}.asc`);
      await writeFile(one, text);
      await runRpm(tools, 'rpmkeys', ['--dbpath', database, '--import', one]).catch((error: unknown) => {
        tools.signal.throwIfAborted();
        throw builderFailure('NO_KEY', `${(given.length > 0 ? given : known)[index] ?? ''}: ${reasonOf(error)}`, {
          cause: error,
        });
      });
    }
  });
  return { digest, file: join(folder, 'keys.asc'), database: join(folder, 'database') };
}
