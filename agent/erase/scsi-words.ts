/** Whether a SCSI disk has a command, and whose data it takes. */
export type ScsiCommand = {
  isSupported: boolean;
  /** It affects other logical units of the same device, too (MLU): a disk with two actuators is two of them. */
  takesOthers: boolean;
};

/** What `sg_opcodes --opcode=OP,SA` (sg3_utils 1.46 to 1.48) says of one command; SPC-6, 6.40.3. */
export function parseOpcode(output: string): ScsiCommand {
  return {
    isSupported: /Command is supported \[conforming/.test(output),
    takesOthers: /\(MLU\): affects (?:more than 1|all)/i.test(output),
  };
}

/** What the Block Device Characteristics page (B1h; SBC-4, 6.6.2) says of reads after an erase. */
export type ReadsAfter = 'not said' | 'possible' | 'an error' | 'an error until it is written';
const READS_AFTER: readonly ReadsAfter[] = ['not said', 'possible', 'an error', 'an error until it is written'];

/** WABEREQ and WACEREQ: the two highest bits of byte 7, and the two below them. */
export function parseReadsAfter(page: Uint8Array | undefined): { block: ReadsAfter; crypto: ReadsAfter } {
  const byte = page?.[1] === 0xb1 ? (page[7] ?? 0) : 0;
  return { block: READS_AFTER[byte >> 6] ?? 'not said', crypto: READS_AFTER[(byte >> 4) & 0b11] ?? 'not said' };
}

export type SenseState = 'none' | 'running' | 'failed' | 'again';
/** `share`: 0 to 1, undefined where the device does not say how far it is. `text` names key and codes. */
export type Sense = { state: SenseState; share: number | undefined; text: string };

const NOT_READY = 2;
const UNIT_ATTENTION = 6;
/** Low power, and other words of a device that is at nothing. */
const POWER_CONDITION = 0x5e;
const OPERATION_IN_PROGRESS = 0x16;

type Fields = { key: number; code: number; qualifier: number; progress: number | undefined };

function descriptors(bytes: Buffer): Fields {
  const [key, code, qualifier] = [(bytes[1] ?? 0) & 0xf, bytes[2] ?? 0, bytes[3] ?? 0];
  for (let at = 8; at + 2 <= bytes.length; at += 2 + (bytes[at + 1] ?? 0)) {
    if (bytes[at] === 0x02 && at + 7 <= bytes.length && ((bytes[at + 4] ?? 0) & 0x80) !== 0)
      return { key, code, qualifier, progress: bytes.readUInt16BE(at + 5) };
    if (bytes[at] === 0x0a && at + 8 <= bytes.length)
      return { key, code, qualifier, progress: bytes.readUInt16BE(at + 6) };
  }
  return { key, code, qualifier, progress: undefined };
}

function fixed(bytes: Buffer): Fields {
  const hasProgress = bytes.length >= 18 && ((bytes[15] ?? 0) & 0x80) !== 0;
  return {
    key: (bytes[2] ?? 0) & 0xf,
    code: bytes[12] ?? 0,
    qualifier: bytes[13] ?? 0,
    progress: hasProgress ? bytes.readUInt16BE(16) : undefined,
  };
}

function stateOf({ key, code, qualifier }: Fields): SenseState {
  if (key === 0) return code === 0 && qualifier === OPERATION_IN_PROGRESS ? 'running' : 'none';
  // Becoming ready, formatting, at a sanitize (04h/1Bh): whatever it is, it is not done.
  if (key === NOT_READY && code === 0x04) return 'running';
  if (key === UNIT_ATTENTION) return 'again';
  return code === POWER_CONDITION ? 'none' : 'failed';
}

/** What REQUEST SENSE returns (SPC-6, 4.5), in binary: `sg_requests --raw`. Bytes that are no sense data are a failure. */
export function parseSense(data: Uint8Array): Sense {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const kind = (bytes[0] ?? 0) & 0x7f;
  if (bytes.length < 8 || kind < 0x70 || kind > 0x73)
    return { state: 'failed', share: undefined, text: 'it gives no sense data' };
  const fields = kind >= 0x72 ? descriptors(bytes) : fixed(bytes);
  const hex = (value: number) => `${value.toString(16).padStart(2, '0')}h`;
  const names: Record<string, string> = {
    '04h/1bh': ' (sanitize in progress)',
    '31h/03h': ' (sanitize command failed)',
    '11h/15h': ' (write after sanitize required)',
  };
  const codes = `${hex(fields.code)}/${hex(fields.qualifier)}`;
  return {
    state: stateOf(fields),
    share: fields.progress === undefined ? undefined : fields.progress / 65_536,
    text: `sense key ${fields.key.toString(16)}h, ${codes}${names[codes] ?? ''}`,
  };
}

/** A sanitize is what it is at, and not the spinning up of a disk that was just switched on. */
export function isSanitizing({ state, text }: Sense): boolean {
  return state === 'running' && text.includes('04h/1bh');
}
