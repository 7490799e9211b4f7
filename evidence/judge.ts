import { reasonOf } from '../system/failure.ts';
import { canonicalJson } from './canonical.ts';
import { claimFaults, unchecked } from './claims.ts';
import type { Envelope, EraseRecord } from './record.ts';
import { envelopeFault, recordHash } from './sign.ts';

export type Trust = {
  /** Base64 of the public key that must have signed: the agent's, or the conductor's, which vouches for the agent's. */
  key?: string | undefined;
  nonce?: string | undefined;
};

export type Judgement = {
  /** Every fault of the file, with the line that it is in. Without any the file is what was signed. */
  faults: string[];
  /** What was taken on the signer's word alone, with the line that it is in. */
  unchecked: string[];
  records: EraseRecord[];
  /** Base64 of the keys that signed. */
  keys: string[];
  /** Who vouches for the agent's key: a receipt of the conductor's, or nobody. */
  receipts: number;
};

type Line = { number: number; envelope: Envelope };

function readLine(text: string, number: number): Line | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    return `line ${number}: it is no JSON: ${reasonOf(error)}`;
  }
  const fault = envelopeFault(parsed);
  if (fault !== undefined) return `line ${number}: ${fault}`;
  // Two members of one name, of which programs see one or the other, would be lost in parsing.
  if (canonicalJson(parsed) !== text) return `line ${number}: it is not in canonical form (RFC 8785)`;
  return { number, envelope: parsed as Envelope };
}

/** Records of one key, in the order of the file. */
function chainFaults(lines: readonly Line[]): string[] {
  const faults: string[] = [];
  const lastOf = new Map<string, EraseRecord>();
  for (const { number, envelope } of lines) {
    const { record, signature } = envelope;
    if (record.format !== 'ingot.erase/1') continue;
    const before = lastOf.get(signature.public_key);
    lastOf.set(signature.public_key, record);
    if (before === undefined) {
      // A file may hold the later steps of a machine alone; the first record of all has nothing before it.
      if ((record.sequence === 0) !== (record.previous === null))
        faults.push(`line ${number}: only the first record has none before it`);
      continue;
    }
    if (record.sequence !== before.sequence + 1)
      faults.push(`line ${number}: record ${before.sequence + 1} is missing, or they are out of order`);
    else if (record.previous !== recordHash(before))
      faults.push(`line ${number}: it does not follow the record before it`);
  }
  return faults;
}

function receiptFaults(lines: readonly Line[]): string[] {
  const faults: string[] = [];
  const known = new Map(
    lines.flatMap(({ envelope: { record, signature } }) =>
      record.format === 'ingot.erase/1' ? [[recordHash(record), { key: signature.public_key, record }] as const] : [],
    ),
  );
  for (const { number, envelope } of lines) {
    const { record } = envelope;
    if (record.format !== 'ingot.receipt/1') continue;
    for (const hash of record.records) {
      const found = known.get(hash);
      if (found === undefined)
        faults.push(`line ${number}: record ${hash.slice(0, 12)}… of the receipt is not in the file`);
      else if (found.key !== record.agent_key) faults.push(`line ${number}: the receipt is for another agent's key`);
      else if (found.record.node.uuid !== record.node_uuid || found.record.nonce !== record.nonce)
        faults.push(`line ${number}: the receipt is for another node or another nonce`);
    }
  }
  return faults;
}

function trustFaults(lines: readonly Line[], { key, nonce }: Trust): string[] {
  const faults: string[] = [];
  const vouched = new Set<string>();
  for (const { envelope } of lines)
    if (envelope.record.format === 'ingot.receipt/1' && envelope.signature.public_key === key)
      for (const hash of envelope.record.records) vouched.add(hash);
  for (const { number, envelope } of lines) {
    const { record, signature } = envelope;
    if (record.format !== 'ingot.erase/1') {
      if (key !== undefined && signature.public_key !== key)
        faults.push(`line ${number}: the receipt is not signed with the given key`);
      continue;
    }
    if (nonce !== undefined && record.nonce !== nonce)
      faults.push(`line ${number}: its nonce is ${record.nonce ?? 'none'}`);
    if (key !== undefined && signature.public_key !== key && !vouched.has(recordHash(record)))
      faults.push(`line ${number}: it is neither signed with the given key nor named by a receipt that is`);
  }
  return faults;
}

/** A record has some 5 kB: no file of evidence is so long, and a text cannot be much longer. */
const MOST_BYTES = 256 * 1024 ** 2;

/** Bytes that are no UTF-8 would be read as U+FFFD, which a serial number may have in it: two files for one. A mark of order stays. */
function readText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Judges a file of evidence: one signed record a line, each in canonical form.
 * @param content the whole file; as bytes it may be what is no text
 */
export function judgeEvidence(content: string | Uint8Array, trust: Trust = {}): Judgement {
  const isTooLong = content.length > MOST_BYTES;
  const text = typeof content === 'string' || isTooLong ? content : readText(content);
  if (isTooLong || typeof text !== 'string') {
    const fault = isTooLong ? `the file has more than ${MOST_BYTES} bytes` : 'the file is no text in UTF-8';
    return { faults: [fault], unchecked: [], records: [], keys: [], receipts: 0 };
  }
  const faults: string[] = [];
  const lines: Line[] = [];
  const parts = text.split('\n');
  // The last line ends as the others do, or a cut file would pass for a whole one.
  if (parts.pop() !== '' || parts.length === 0) faults.push('the file does not end with a whole line');
  for (const [index, part] of parts.entries()) {
    const line = readLine(part, index + 1);
    if (typeof line === 'string') faults.push(line);
    else lines.push(line);
  }
  const records = lines.flatMap(({ envelope: { record } }) => (record.format === 'ingot.erase/1' ? [record] : []));
  if (records.length === 0 && faults.length === 0) faults.push('there is no record of an erase in it');
  for (const { number, envelope } of lines)
    if (envelope.record.format === 'ingot.erase/1')
      for (const fault of claimFaults(envelope.record)) faults.push(`line ${number}: ${fault}`);
  faults.push(...chainFaults(lines), ...receiptFaults(lines), ...trustFaults(lines, trust));
  return {
    faults,
    unchecked: lines.flatMap(({ number, envelope: { record } }) => {
      const what = record.format === 'ingot.erase/1' ? unchecked(record) : undefined;
      return what === undefined ? [] : [`line ${number}: ${what}`];
    }),
    records,
    keys: [...new Set(lines.map(({ envelope }) => envelope.signature.public_key))],
    receipts: lines.length - records.length,
  };
}
