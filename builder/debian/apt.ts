import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { formatBytes } from '../../cli/progress.ts';
import { Failure, reasonOf } from '../../system/failure.ts';
import type { BuilderHost } from '../host/door.ts';
import { findBase } from '../bases.ts';
import { builderFailure } from '../failures.ts';
import { hostFailure } from '../host/failures.ts';
import type { Mirror } from './mirror.ts';

/** What to ask APT for. */
export type AptQuestion = {
  mirror: Mirror;
  /** Debian's name of the release: `trixie`. */
  release: string;
  /** Debian's name of the architecture: `amd64`. */
  architecture: string;
};

/** A private APT: its own lists, its own empty world, nothing of the host but its mirror, proxies and keyring. */
export type PrivateApt = {
  /** @returns standard output of an APT program (`apt-get`, `apt-cache`) */
  ask: (program: string, args: readonly string[], signal: AbortSignal) => Promise<string>;
  folder: string;
};

const KEYRINGS = ['/usr/share/keyrings/debian-archive-keyring.pgp', '/usr/share/keyrings/debian-archive-keyring.gpg'];

/**
 * Host settings that a private APT keeps: how to reach a mirror, and the host's own policy on the age of lists. Nothing that
 * would accept an unsigned or badly signed list is among them.
 */
const KEPT_SETTINGS =
  /^Acquire::(https?(::[\w.-]+)?::(Proxy|Timeout|CaInfo|CaPath|SslCert|SslKey)|Retries|Check-Valid-Until|Check-Date|Max-ValidTime)\b/i;

async function keyring(): Promise<string> {
  for (const path of KEYRINGS) if (await stat(path).catch(() => undefined)) return path;
  throw builderFailure('NO_KEYRING', `none of ${KEYRINGS.join(', ')} exists`);
}

/** Settings of the host's APT that any APT of ours keeps, as lines of apt.conf. @throws Failure `MISSING_PROGRAM` */
export async function hostSettings(host: BuilderHost, signal: AbortSignal): Promise<string[]> {
  const { stdout } = await host.run('apt-config', ['dump'], { signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw builderFailure('MISSING_PROGRAM', 'apt-config', { cause: error, hint: 'run this on a Debian machine' });
  });
  return stdout.split('\n').filter((line) => KEPT_SETTINGS.test(line));
}

function sourceStanza(uri: string, suites: string, question: AptQuestion, key: string): string {
  const rows = {
    Types: 'deb',
    URIs: uri,
    Suites: suites,
    Components: 'main non-free-firmware',
    Architectures: question.architecture,
    'Signed-By': key,
    ...(findBase(question.release)?.acceptExpired !== undefined && { 'Check-Valid-Until': 'no' }),
  };
  return `${Object.entries(rows)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n')}\n`;
}

function configuration(folder: string, question: AptQuestion, settings: readonly string[]): string {
  const none = ['parts', 'main', 'sourcelist', 'preferences', 'preferencesparts', 'trusted', 'trustedparts'];
  return [
    `Dir "${folder}";`,
    `Dir::State "${folder}/state";`,
    `Dir::State::status "${folder}/status";`,
    `Dir::Cache "${folder}/cache";`,
    ...none.map((name) => `Dir::Etc::${name} "/dev/null";`),
    `Dir::Etc::sourceparts "${folder}/sources";`,
    `APT::Architecture "${question.architecture}";`,
    `APT::Architectures { "${question.architecture}"; };`,
    'APT::Install-Recommends "false";',
    'APT::Sandbox::User "";', // the unprivileged user of APT may not read a cache in somebody's home
    'APT::Update::Error-Mode "any";', // without it, APT goes on with old lists when the mirror is gone
    'Acquire::Languages "none";',
    'Acquire::ForceHash "SHA256";', // what --print-uris prints
    'Acquire::AllowInsecureRepositories "false";',
    'Acquire::AllowWeakRepositories "false";',
    'Acquire::AllowDowngradeToInsecureRepositories "false";',
    ...settings,
    '',
  ].join('\n');
}

/** Tells a missing or wrong signature from a mirror that does not answer, by what APT says. */
function explainUpdate(error: unknown, mirror: Mirror): Failure {
  const text =
    error instanceof Failure
      ? ((error.cause as { stderr?: string } | undefined)?.stderr ?? error.message)
      : reasonOf(error);
  const lines = text.split('\n').filter((line) => /^[EW]: /.test(line));
  const detail = `${mirror.main}: ${(lines[0] ?? text.trim().split('\n').at(-1) ?? '').replace(/^[EW]: /, '')}`;
  const signature =
    /NO_PUBKEY|BADSIG|ERRSIG|EXPSIG|EXPKEYSIG|KEYEXPIRED|not signed|invalid signature|signatures? (couldn't|could not|were invalid)|sqv|NOSPLIT|NODATA/i;
  if (/No space left on device|Disk quota exceeded/.test(text))
    return hostFailure('DISK_FULL', 'package lists', { cause: error });
  if (/is expired|is not valid yet/.test(text))
    return builderFailure('MIRROR_UNREACHABLE', detail, {
      cause: error,
      hint: 'check the clock of this machine, or use a mirror that is up to date',
    });
  return signature.test(text)
    ? builderFailure('BAD_SIGNATURE', `the package lists of ${detail}`, { cause: error })
    : builderFailure('MIRROR_UNREACHABLE', detail, { cause: error });
}

async function prepare(folder: string, question: AptQuestion, settings: readonly string[]): Promise<void> {
  for (const part of ['sources', 'state/lists/partial', 'cache/archives/partial'])
    await mkdir(join(folder, part), { recursive: true });
  const key = await keyring();
  const { mirror, release } = question;
  const stanzas = [sourceStanza(mirror.main, `${release} ${release}-updates`, question, key)];
  if (mirror.security !== undefined) stanzas.push(sourceStanza(mirror.security, `${release}-security`, question, key));
  await writeFile(join(folder, 'status'), '');
  await writeFile(join(folder, 'sources/debian.sources'), stanzas.join('\n'));
  await writeFile(join(folder, 'apt.conf'), configuration(folder, question, settings));
}

/** What the lists of one release take, with room for their next version. */
const LISTS_BYTES = 200e6;

/** On a full disk APT does not always end: it is not started when its lists cannot fit. */
async function checkSpace(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free < LISTS_BYTES)
    throw hostFailure(
      'DISK_FULL',
      `package lists: they take ${formatBytes(LISTS_BYTES)}, and ${formatBytes(free)} are free`,
    );
}

/** Several questions of one build need the lists only once. The folder's name tells mirror, release and architecture apart. */
async function isFresh(stamp: string, milliseconds = 60_000): Promise<boolean> {
  const made = await stat(stamp).catch(() => undefined);
  return made !== undefined && Date.now() - made.mtimeMs < milliseconds && made.mtimeMs <= Date.now();
}

/**
 * Makes a private APT and brings its package lists up to date; APT itself checks their signatures with the Debian archive key.
 * @param folder its place in the cache; whoever calls this has it for itself
 * @throws Failure `OFFLINE`, `MIRROR_UNREACHABLE`, `BAD_SIGNATURE`, `NO_KEYRING`, `MISSING_PROGRAM`
 */
export async function openApt(
  host: BuilderHost,
  folder: string,
  question: AptQuestion,
  signal: AbortSignal,
): Promise<PrivateApt> {
  await prepare(folder, question, await hostSettings(host, signal));
  const ask: PrivateApt['ask'] = async (program, args, abort) => {
    const { stdout } = await host.run(program, args, { signal: abort, env: { APT_CONFIG: join(folder, 'apt.conf') } });
    return stdout;
  };
  if (host.offline) {
    if (!(await isFresh(join(folder, 'updated'), Infinity)))
      throw hostFailure('OFFLINE', `there are no package lists of ${question.mirror.main} for ${question.release}`);
    return { ask, folder };
  }
  if (await isFresh(join(folder, 'updated'))) return { ask, folder };
  await checkSpace(folder);
  try {
    await ask('apt-get', ['update', '-q'], signal);
    await writeFile(join(folder, 'updated'), '');
  } catch (error) {
    signal.throwIfAborted();
    // Lists that failed are not left to look like good ones.
    for (const name of await readdir(join(folder, 'state/lists/partial')).catch(() => []))
      await rm(join(folder, 'state/lists/partial', name), { force: true });
    throw explainUpdate(error, question.mirror);
  }
  return { ask, folder };
}

/** Lists of this private APT that are past the date until which the archive says they are valid. */
export async function expiredLists(folder: string, now: Date): Promise<{ suite: string; validUntil: string }[]> {
  const lists = join(folder, 'state/lists');
  const names = (await readdir(lists)).filter((name) => name.endsWith('_InRelease'));
  const heads = await Promise.all(
    names.map(async (name) => {
      const field = (text: string, key: string) => new RegExp(`^${key}: (.+)$`, 'm').exec(text)?.[1] ?? '';
      const text = await readFile(join(lists, name), 'utf8');
      return { suite: field(text, 'Codename'), validUntil: field(text, 'Valid-Until') };
    }),
  );
  return heads
    .filter(({ validUntil }) => Date.parse(validUntil) < now.getTime())
    .toSorted((a, b) => (a.suite < b.suite ? -1 : 1));
}

/** Digest of what the signed lists of this private APT say: the digests of all package lists are in them. */
export async function signedListsDigest(folder: string): Promise<string> {
  const lists = join(folder, 'state/lists');
  const hash = createHash('sha256');
  for (const name of (await readdir(lists)).filter((one) => one.endsWith('_InRelease')).toSorted()) {
    const text = await readFile(join(lists, name), 'utf8');
    hash.update(/^SHA256:\n((?: .*\n)+)/m.exec(text)?.[1] ?? text);
  }
  return hash.digest('hex');
}
