import { createHash } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import type { Entry } from '../archive/entry.ts';
import { indexEntries, readTar, type TarIndex } from '../archive/tar.ts';
import { mergedPath } from '../debian/paths.ts';
import { builderFailure } from '../failures.ts';
import { reasonOf } from '../../system/failure.ts';
import type { PackageScript } from '../scripts/shell.ts';
import type { KeyRing } from './keys.ts';
import { type RpmTools, rpmCommand, runRpm } from './tools.ts';

/** Raised when the form of an index changes. */
const FORMAT = 1;

const FIELD = '\u001F';
const RECORD = '\u001E';

/** Scripts by rpm's names of their tags: interpreter, then text. Lists of triggers are one record each. */
const SCRIPT_TAGS = [
  ['%pretrans', 'PRETRANSPROG', 'PRETRANS'],
  ['%pre', 'PREINPROG', 'PREIN'],
  ['%post', 'POSTINPROG', 'POSTIN'],
  ['%posttrans', 'POSTTRANSPROG', 'POSTTRANS'],
] as const;
const TRIGGER_TAGS = [
  ['%trigger', 'TRIGGERSCRIPTPROG', 'TRIGGERSCRIPTS'],
  ['%filetrigger', 'FILETRIGGERSCRIPTPROG', 'FILETRIGGERSCRIPTS'],
  ['%transfiletrigger', 'TRANSFILETRIGGERSCRIPTPROG', 'TRANSFILETRIGGERSCRIPTS'],
] as const;

/** What `rpm --queryformat` is to print, so that `parseScripts` reads it. */
export const SCRIPT_QUERY = [
  ...SCRIPT_TAGS.map(
    ([kind, program, text]) => `${kind.replace('%', '%%')}${FIELD}%{${program}}${FIELD}%{${text}}${RECORD}`,
  ),
  ...TRIGGER_TAGS.map(
    ([kind, program, text]) => `[${kind.replace('%', '%%')}${FIELD}%{${program}}${FIELD}%{${text}}${RECORD}]`,
  ),
].join('');

/** Reads the answer to `SCRIPT_QUERY`. Scripts that run when a package is removed are not asked for: nothing is ever removed. */
export function parseScripts(text: string): PackageScript[] {
  return text.split(RECORD).flatMap((record) => {
    const [kind = '', interpreter = '', script = ''] = record.split(FIELD);
    if (!kind.startsWith('%') || interpreter === '' || interpreter === '(none)') return [];
    return [{ kind, interpreter, text: script === '(none)' ? '' : script }];
  });
}

/** What is wrong with a package, by what `rpmkeys -Kv` prints about one that it refuses. */
export function signatureProblem(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  const bad = lines.filter((line) => /: (NOKEY|BAD|NOTTRUSTED)\b/.test(line));
  return bad.length > 0 ? bad.join('; ') : 'it is not signed';
}

async function verify(tools: RpmTools, keys: KeyRing, file: string, name: string): Promise<void> {
  const args = ['--dbpath', keys.database, '--define', '_pkgverify_level all', '-Kv', file];
  const { stdout, exitCode } = await runRpm(tools, 'rpmkeys', args, { okExitCodes: [0, 1] });
  if (exitCode === 0) return;
  throw builderFailure('BAD_SIGNATURE', `${name}: ${signatureProblem(stdout)}`, {
    hint: 'use another mirror; if its packages are signed with another key, name it with --key FILE',
  });
}

async function unpackTo(tools: RpmTools, rpm: string, name: string, folder: string): Promise<void> {
  const { file, args, env } = rpmCommand(tools, 'rpm2archive', ['-n', '-']);
  const input = await open(rpm, 'r');
  const child = tools.host.start(file, args, { env, stdio: [input.fd, 'pipe', 'pipe'] });
  const stop = () => child.kill('SIGKILL');
  tools.signal.addEventListener('abort', stop, { once: true });
  let complaint = '';
  child.stderr?.on('data', (piece: Buffer) => (complaint += piece.toString()));
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
  ended.catch(() => undefined); // awaited below, after the stream
  try {
    if (child.stdout === null) throw new TypeError('rpm2archive was started without a pipe');
    const rows = await readTar(child.stdout, join(folder, 'data'), mergedPath);
    if ((await ended) !== 0) throw new Error(complaint.trim());
    const { stdout } = await runRpm(tools, 'rpm', ['-qp', '--nosignature', '--queryformat', SCRIPT_QUERY, rpm]);
    await writeFile(join(folder, 'index.json'), JSON.stringify({ rows, scripts: parseScripts(stdout) }));
  } catch (error) {
    tools.signal.throwIfAborted();
    throw builderFailure('CANNOT_UNPACK', `${name}: ${reasonOf(error)}`, { cause: error });
  } finally {
    stop();
    tools.signal.removeEventListener('abort', stop);
    await input.close();
  }
}

/**
 * Checks a package's signature and unpacks it into the cache, once, without running anything of it. An entry in the cache was
 * checked against the keys that name it. File capabilities are left out: the archive of an initramfs has no place for them, and
 * whatever runs in it is root.
 * @param rpm a downloaded file
 * @throws Failure `BAD_SIGNATURE`, `CANNOT_UNPACK`
 */
export async function unpackRpm(
  tools: RpmTools,
  keys: KeyRing,
  rpm: string,
  one: { sha256: string; url: string },
): Promise<{ entries: Entry[]; scripts: PackageScript[] }> {
  const key = createHash('sha256')
    .update(`${one.sha256} ${keys.digest} ${basename(tools.policy)}`)
    .digest('hex');
  const folder = await tools.host.cache.directory(`unpacked-rpm-${FORMAT}`, key, async (temporary) => {
    await verify(tools, keys, rpm, basename(one.url));
    await unpackTo(tools, rpm, basename(one.url), temporary);
  });
  const { rows, scripts } = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as {
    rows: TarIndex;
    scripts: PackageScript[];
  };
  return { entries: indexEntries(rows, join(folder, 'data')), scripts };
}
