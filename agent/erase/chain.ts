import { canonicalJson } from '../../evidence/canonical.ts';
import type { Envelope, EraseRecord } from '../../evidence/record.ts';
import { makeKey, publicKeyOf, recordHash, signRecord } from '../../evidence/sign.ts';
import type { SystemFiles } from '../os/door.ts';

export const EVIDENCE_DIRECTORY = '/run/ingot/evidence';
/** All records of this boot; it is in the archive of logs. */
export const EVIDENCE_FILE = `${EVIDENCE_DIRECTORY}/records.jsonl`;
const KEY_FILE = `${EVIDENCE_DIRECTORY}/key.pem`;
const SECRET_MODE = 0o600;

export type EvidenceChain = {
  /** Base64. */
  publicKey: string;
  /** Puts a record behind the last one, signs it, and writes it down. */
  append: (record: Omit<EraseRecord, 'sequence' | 'previous'>) => Promise<Envelope>;
};

/**
 * The evidence of this boot: one key, one chain. An agent that was started again goes on with both; in a new boot there are new ones.
 * Where nothing can be written down the chain is in memory alone, and in the results of the steps.
 */
export async function openChain(files: SystemFiles): Promise<EvidenceChain> {
  await files.makeDirectory(EVIDENCE_DIRECTORY, 0o700).catch(() => undefined);
  const kept = await files.read(KEY_FILE);
  const key = kept ?? makeKey();
  if (kept === undefined) await files.write(KEY_FILE, key, SECRET_MODE).catch(() => undefined);
  let text = kept === undefined ? '' : ((await files.read(EVIDENCE_FILE)) ?? '');
  const last = text.trimEnd().split('\n').at(-1);
  let before = last ? (JSON.parse(last) as Envelope).record : undefined;
  let working: Promise<unknown> = Promise.resolve();

  const appendNow = async (record: Omit<EraseRecord, 'sequence' | 'previous'>): Promise<Envelope> => {
    const sequence = before?.format === 'ingot.erase/1' ? before.sequence + 1 : 0;
    const envelope = signRecord({ ...record, sequence, previous: before ? recordHash(before) : null }, key);
    before = envelope.record;
    text += `${canonicalJson(envelope)}\n`;
    await files.write(EVIDENCE_FILE, text, SECRET_MODE).catch(() => undefined);
    return envelope;
  };

  return {
    publicKey: publicKeyOf(key),
    append: (record) => {
      // Disks are erased side by side, and end when they like.
      const done = working.then(() => appendNow(record));
      working = done.catch(() => undefined);
      return done;
    },
  };
}
