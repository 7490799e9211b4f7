import { createHmac, timingSafeEqual } from 'node:crypto';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';

import { canonicalJson } from '../../evidence/canonical.ts';
import type { BlockDevice } from '../os/door.ts';

const JournalSchema = Type.Object({
  /** The passes that were asked for, `1+1`: by other ones its number and position would say nothing. */
  of: Type.String(),
  /** Number of the pass, from 0. */
  pass: Type.Integer({ minimum: 0 }),
  /** Of this pass everything before it is on the medium, bytes. */
  position: Type.Integer({ minimum: 0 }),
  /** The last time that this was true, ISO 8601. */
  at: Type.String(),
  /** Canaries were written before the first pass. */
  canaries: Type.Boolean(),
  /** When it stood still before: interrupted after, resumed at, position. */
  gaps: Type.Array(Type.Tuple([Type.String(), Type.String(), Type.Integer()]), { maxItems: 3 }),
});
/** How far an overwrite is, as it is kept in the disk's own last sector: nothing else of the machine survives a power cut. */
export type Journal = Static<typeof JournalSchema>;

const MAGIC = 'INGOT ERASE 1\n';

/**
 * The disk's last owner may have written a note of the same form, to have us skip what he left. Only who knows the nonce can sign
 * one, and the nonce was chosen after he had lost the disk.
 */
function mac(nonce: string, device: BlockDevice, serial: string | null, text: string): Buffer {
  const key = createHmac('sha256', nonce).update('ingot erase journal').digest();
  return createHmac('sha256', key)
    .update(canonicalJson([serial, device.sizeBytes, text]))
    .digest();
}

/** Where it stands: in the last sector, which is overwritten last of all. */
export function journalPosition({ sizeBytes, sectorBytes }: BlockDevice): number {
  return sizeBytes - sectorBytes;
}

export async function writeJournal(
  device: BlockDevice,
  nonce: string,
  serial: string | null,
  journal: Journal,
): Promise<void> {
  const text = canonicalJson(journal);
  const sector = Buffer.alloc(device.sectorBytes);
  sector.write(`${MAGIC}${text}\n${mac(nonce, device, serial, text).toString('hex')}\n`, 'latin1');
  await device.write(sector, journalPosition(device));
  await device.flush();
}

/** @returns undefined where there is none that was written for this very erase */
export async function readJournal(
  device: BlockDevice,
  nonce: string,
  serial: string | null,
): Promise<Journal | undefined> {
  const sector = Buffer.alloc(device.sectorBytes);
  await device.readBack(sector, journalPosition(device));
  const text = sector.toString('latin1');
  if (!text.startsWith(MAGIC)) return undefined;
  const [json = '', hash = ''] = text.slice(MAGIC.length).split('\n');
  const wanted = mac(nonce, device, serial, json);
  const given = Buffer.from(hash, 'hex');
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
  const parsed = JSON.parse(json) as unknown;
  return Value.Check(JournalSchema, parsed) && parsed.position <= device.sizeBytes ? parsed : undefined;
}
