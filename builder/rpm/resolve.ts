import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Type } from 'typebox';
import { Value } from 'typebox/value';

import type { Architecture } from '../../arch/table.ts';
import { reasonOf } from '../../system/failure.ts';
import type { Base, Repository } from '../bases.ts';
import { reachable, type DebianPackage } from '../debian/resolve.ts';
import { builderFailure } from '../failures.ts';
import type { KeyRing } from './keys.ts';
import { type LocalRepository, readRepositories } from './repository.ts';
import { type RpmTools, runRpm } from './tools.ts';

const SOLVER = join(dirname(fileURLToPath(import.meta.url)), 'solve.py');

const RowSchema = Type.Object({
  name: Type.String(),
  version: Type.String(),
  architecture: Type.String(),
  location: Type.String(),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  bytes: Type.Integer(),
  repository: Type.String(),
  depends: Type.Array(Type.String()),
  provides: Type.Array(Type.String()),
});
const AnswerSchema = Type.Object({
  packages: Type.Optional(Type.Array(RowSchema)),
  absent: Type.Optional(Type.Array(Type.String())),
  unsolvable: Type.Optional(Type.String()),
});

export type RpmQuestion = {
  base: Base;
  row: Pick<Architecture, 'rpm'>;
  /** Without a slash at its end. */
  mirror: string;
  keys: KeyRing;
  packages: readonly string[];
  /** Packages to choose as well where the mirror has them. */
  optional: readonly string[];
  /** Packages to leave out, with all that only they need, although something depends on them. */
  without: readonly string[];
};

export type RpmAnswer = {
  /** In order of their names. */
  packages: DebianPackage[];
  /** Optional packages that the mirror does not have. */
  absent: string[];
  /** Repositories that it does not have. */
  absentRepositories: Repository[];
};

async function ask(tools: RpmTools, question: RpmQuestion, repositories: readonly LocalRepository[], folder: string) {
  const { row, packages, optional } = question;
  const input = JSON.stringify({
    folder,
    arch: row.rpm,
    repositories: repositories.map(({ id, folder: place }) => ({ id, url: `file://${place}` })),
    packages,
    optional,
  });
  const { stdout } = await runRpm(tools, 'python3', [SOLVER], { input }).catch((error: unknown) => {
    tools.signal.throwIfAborted();
    throw builderFailure('CANNOT_RESOLVE', `DNF does not answer: ${reasonOf(error).split('\n').at(-1) ?? ''}`, {
      cause: error,
    });
  });
  const answer: unknown = JSON.parse(stdout);
  if (!Value.Check(AnswerSchema, answer)) throw builderFailure('CANNOT_RESOLVE', 'DNF gives an answer of another form');
  if (answer.unsolvable !== undefined)
    throw builderFailure(
      'CANNOT_RESOLVE',
      answer.unsolvable
        .split('\n')
        .map((line) => line.trim())
        .join('; '),
    );
  return { packages: answer.packages ?? [], absent: answer.absent ?? [] };
}

/**
 * Lets DNF choose packages and everything that they depend on, as it would for an empty root of another architecture.
 * @throws Failure `CANNOT_RESOLVE` with DNF's own words, and those of `readRepositories`
 */
export async function resolveRpms(tools: RpmTools, question: RpmQuestion): Promise<RpmAnswer> {
  const { base, row, mirror, keys } = question;
  const world = createHash('sha256')
    .update(JSON.stringify([mirror, base.name, row.rpm]))
    .digest('hex')
    .slice(0, 16);
  return tools.host.cache.exclusively(`dnf-${world}`, tools.signal, async () => {
    const folder = tools.host.cache.path('dnf', world);
    await mkdir(folder, { recursive: true });
    const { present, absent } = await readRepositories(tools, base, row, mirror, keys, folder);
    const answer = await ask(tools, question, present, folder);
    const urls = new Map(present.map((one) => [one.id, one.url]));
    const chosen = answer.packages.map(({ location, repository, bytes, ...rest }) => ({
      ...rest,
      url: `${urls.get(repository) ?? ''}${location}`,
      sizeBytes: bytes,
    }));
    const wanted = [...question.packages, ...question.optional];
    return { packages: reachable(chosen, wanted, question.without), absent: answer.absent, absentRepositories: absent };
  });
}
