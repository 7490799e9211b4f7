import { AgentError } from '../api/errors.ts';
import type { WantedChecksum } from './checksum.ts';
import { hashDigits, hashName, hashOfDigits, hashRank, isWeakHash } from './hash-names.ts';

/** One line of a checksum file. */
export type ChecksumEntry = {
  /** As the file has it, often with folders; undefined where a hash stands alone. */
  name: string | undefined;
  /** Our name; undefined where the line does not say. */
  algorithm: string | undefined;
  /** Lower case. */
  hex: string;
};

const HEX = '(?:[0-9a-f]{2}){16,64}';
/** `SHA256 (name) = HEX` of the BSDs and of coreutils' --tag, `SHA2-256(name)= HEX` of OpenSSL. */
const TAGGED = new RegExp(`^\\\\?([a-z][\\w/-]*)\\s*\\((.+)\\)\\s*=\\s*(${HEX})$`, 'i');
/** `HEX  name` and `HEX *name` of coreutils; `HEX size name` of Debian's Release files. */
const PLAIN = new RegExp(`^\\\\?(${HEX})(?:\\s+\\d+\\s+|\\s+[*]?)(\\S.*)$`, 'i');
/** `name HEX`, `name: HEX` */
const REVERSED = new RegExp(`^(\\S.*?):?\\s+(${HEX})$`, 'i');
const BARE = new RegExp(`^${HEX}$`, 'i');
/** A heading that names the algorithm of what follows: `SHA256:`, `Checksums-Sha256:`, `[SHA256]`. */
const HEADING = /^\[?(?:checksums-)?([a-z][\w/-]*?)(?:sums?)?[\]:]:?$/i;

/** A name with a leading backslash in its line has its own backslashes and ends of lines escaped (coreutils). */
function unescapeName(line: string, name: string): string {
  return line.startsWith('\\')
    ? name.replaceAll(/\\([\\nr])/g, (_, c: string) => ({ n: '\n', r: '\r' })[c] ?? c)
    : name;
}

function readLine(line: string, heading: string | undefined): ChecksumEntry | undefined {
  const tagged = TAGGED.exec(line);
  if (tagged) {
    const [, tag = '', name = '', hex = ''] = tagged;
    const algorithm = hashName(tag);
    return algorithm && hashDigits(algorithm) === hex.length
      ? { name: unescapeName(line, name), algorithm, hex: hex.toLowerCase() }
      : undefined;
  }
  if (BARE.test(line)) return { name: undefined, algorithm: heading, hex: line.toLowerCase() };
  const [, hex, name] = PLAIN.exec(line) ?? [];
  if (hex !== undefined && name !== undefined)
    return { name: name === '-' ? undefined : unescapeName(line, name), algorithm: heading, hex: hex.toLowerCase() };
  const [, before, after] = REVERSED.exec(line) ?? [];
  return after === undefined ? undefined : { name: before, algorithm: heading, hex: after.toLowerCase() };
}

/** What of a clear-signed text was signed, without its escapes (RFC 9580 7). Whose signature it is nobody here can tell. */
function signedPart(lines: readonly string[]): readonly string[] {
  const start = lines.indexOf('-----BEGIN PGP SIGNED MESSAGE-----');
  if (start === -1) return lines;
  const blank = lines.findIndex((line, index) => index > start && line === '');
  const end = lines.indexOf('-----BEGIN PGP SIGNATURE-----', start);
  return lines.slice(blank + 1, end === -1 ? undefined : end).map((line) => line.replace(/^- /, ''));
}

/** All that a checksum file says, in its order. Lines that say nothing are left out. */
export function parseChecksumFile(text: string): ChecksumEntry[] {
  const lines = text
    .replace(/^\u{FEFF}/u, '')
    .split(/\r\n|\r|\n/)
    .map((line) => line.trim());
  let heading: string | undefined;
  return signedPart(lines).flatMap((line) => {
    if (line === '' || line.startsWith('#') || line.startsWith(';')) return [];
    const entry = readLine(line, heading);
    const title = entry ? undefined : HEADING.exec(line)?.[1];
    if (title !== undefined) heading = hashName(title);
    return entry ? [entry] : [];
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function folders(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

/** How many parts two paths share, from the name backwards. */
function commonEnd(a: readonly string[], b: readonly string[]): number {
  let count = 0;
  while (count < Math.min(a.length, b.length) && a.at(-1 - count) === b.at(-1 - count)) count++;
  return count;
}

function refuse(why: string): AgentError {
  return new AgentError('ImageDownloadError', `cannot verify the image: ${why}`);
}

/** The entries for an image: those whose path agrees furthest with its address. A lone hash without a name is for any. */
function entriesFor(entries: readonly ChecksumEntry[], urls: readonly string[]): ChecksumEntry[] {
  const [only, ...more] = entries;
  if (only && more.length === 0 && only.name === undefined) return [only];
  const paths = urls.map((url) => folders(decoded(URL.parse(url)?.pathname ?? '')));
  const scored = entries.map((entry) => {
    const path = folders(entry.name ?? '');
    const common = Math.max(0, ...paths.map((wanted) => commonEnd(path, wanted)));
    // A name with nothing before it is nearer than one in a folder that the address does not have.
    return { entry, score: common === 0 ? 0 : common * 2 + (common === path.length ? 1 : 0) };
  });
  const best = Math.max(0, ...scored.map(({ score }) => score));
  if (best > 0) return scored.filter(({ score }) => score === best).map(({ entry }) => entry);
  const names = paths.map((path) => path.at(-1) ?? '').filter((name, index, all) => all.indexOf(name) === index);
  const hint = entries.length === 0 ? '; nothing in it is a checksum (a page of the server?)' : '';
  throw refuse(`the checksum file does not contain name ${names.join(' or ')}${hint}`);
}

/**
 * Finds an image's checksum in the text of a checksum file. Of several algorithms the one that was asked for counts, else the
 * strongest.
 * @param urls the image's addresses; the ends of their paths are what is looked for
 * @throws AgentError `ImageDownloadError` when the file does not name the image, or says two things of it
 */
export function findChecksum(
  text: string,
  urls: readonly string[],
  wanted: { algorithm: string | undefined; isMd5Allowed: boolean },
): WantedChecksum {
  const usable = entriesFor(parseChecksumFile(text), urls).flatMap(({ algorithm, hex, name }) => {
    const known = algorithm ?? wanted.algorithm ?? hashOfDigits(hex.length);
    const fits = known !== undefined && hashDigits(known) === hex.length;
    return fits && (wanted.algorithm ?? known) === known ? [{ algorithm: known, value: hex, name }] : [];
  });
  const allowed = usable.filter(({ algorithm }) => wanted.isMd5Allowed || !isWeakHash(algorithm));
  // What is not allowed is refused by name later.
  const [first, ...others] = (allowed.length > 0 ? allowed : usable).toSorted(
    (a, b) => hashRank(a.algorithm) - hashRank(b.algorithm),
  );
  if (!first) throw refuse(`the checksum file has no checksum of ${wanted.algorithm ?? 'a known algorithm'} for it`);
  if (others.some(({ algorithm, value }) => algorithm === first.algorithm && value !== first.value))
    throw refuse(`the checksum file has different checksums for ${first.name ?? 'the image'}`);
  return { algorithm: first.algorithm, value: first.value };
}
