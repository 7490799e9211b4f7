/** One structure of the firmware's table (SMBIOS 3.7, section 6.1): what it is, its fixed part, and its texts. */
export type SmbiosStructure = {
  type: number;
  handle: number;
  /** The fixed part with its header; offsets are those of the specification. */
  bytes: Buffer;
  texts: readonly string[];
};

const HEADER_BYTES = 4;
const END_OF_TABLE = 127;

/** Texts are not always ASCII, though the specification says so. */
const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '.');

/**
 * The structures of a table in their order. Tables that are cut, or whose lengths make no sense, give what is whole before that.
 * @param table content of /sys/firmware/dmi/tables/DMI
 */
export function readSmbios(table: Uint8Array): SmbiosStructure[] {
  const all = Buffer.from(table.buffer, table.byteOffset, table.byteLength);
  const found: SmbiosStructure[] = [];
  for (let at = 0; at + HEADER_BYTES <= all.length;) {
    const type = all.readUInt8(at);
    const length = all.readUInt8(at + 1);
    if (length < HEADER_BYTES || type === END_OF_TABLE) break;
    // The fixed part is followed by its texts, each with a zero byte; one more ends them. Without texts there are two.
    const end = all.indexOf('\0\0', at + length, 'latin1');
    if (end < 0) break;
    const texts = all.toString('latin1', at + length, end);
    found.push({
      type,
      handle: all.readUInt16LE(at + 2),
      bytes: all.subarray(at, at + length),
      texts: texts === '' ? [] : texts.split('\0').map(printable),
    });
    at = end + 2;
  }
  return found;
}

/** A text by the number that stands at an offset; undefined where there is none, or the structure is shorter. */
export function textAt({ bytes, texts }: SmbiosStructure, offset: number): string | undefined {
  if (offset >= bytes.length) return undefined;
  return texts[bytes.readUInt8(offset) - 1];
}

/** What firmware writes where it has nothing to say. */
const NOTHING =
  /^(?:|unknown|none|n\/?a|null|default string|not (?:specified|provided|available|present)|no dimm|to be filled by o\.?e\.?m\.?|[-. ]+|0+)$/i;

/** A text that says something; null for what firmware writes instead of nothing. */
export function meaning(text: string | undefined): string | null {
  const trimmed = text?.trim() ?? '';
  return NOTHING.test(trimmed) ? null : trimmed;
}
