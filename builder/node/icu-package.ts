/** One item of ICU's data: a locale's texts, a converter, a table of character properties. */
export type IcuItem = { /** Without the package's own name: `coll/de.res`. */ name: string; bytes: Uint8Array };

/** ICU's data as it lies in a program or library. */
export type IcuPackage = {
  /** Where it starts. */
  offset: number;
  /** What stands before every name: `icudt78l/`. */
  prefix: string;
  /** All but the last, whose length nothing says. */
  items: IcuItem[];
  /** The last item's name, and where it starts; it cannot be moved. */
  last: string;
  end: number;
};

/** 16 bytes, as ICU's own tools align items. */
const ALIGNMENT = 16;
/** Longer than any header: 4 bytes of sizes, 20 of UDataInfo, a copyright line. */
const LONGEST_HEADER = 4096;

/**
 * Finds ICU's data in a file: a header with the magic da 27 and the data format `CmnD`, format version 1 (ICU's
 * source/common/unicode/udata.h), then a table of contents, little-endian: the number of items, and for each the offsets of its
 * name and its data from the table's start, sorted by name (source/common/ucmndata.h).
 */
export function findIcuPackage(bytes: Uint8Array): IcuPackage | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let mark = file.indexOf('CmnD'); mark >= 0; mark = file.indexOf('CmnD', mark + 1)) {
    const offset = mark - 12;
    if (offset < 0 || file[offset + 2] !== 0xda || file[offset + 3] !== 0x27 || file[offset + 16] !== 1) continue;
    const headerBytes = file.readUInt16LE(offset);
    const isBigEndian = file[offset + 8] === 1;
    if (isBigEndian || headerBytes > LONGEST_HEADER) continue;
    const found = readTable(file, offset, headerBytes);
    if (found !== undefined) return found;
  }
  return undefined;
}

function readTable(file: Buffer, offset: number, headerBytes: number): IcuPackage | undefined {
  const table = offset + headerBytes;
  const count = file.readUInt32LE(table);
  if (count < 2 || table + 4 + count * 8 > file.byteLength) return undefined;
  const rows = Array.from({ length: count }, (_, index) => {
    const at = table + 4 + index * 8;
    const name = table + file.readUInt32LE(at);
    return { name: file.toString('latin1', name, file.indexOf(0, name)), start: table + file.readUInt32LE(at + 4) };
  });
  const last = rows.at(-1);
  const prefix = /^[^/]+\//.exec(rows[0]?.name ?? '')?.[0];
  if (last === undefined || prefix === undefined || last.start >= file.byteLength) return undefined;
  const items = rows.slice(0, -1).map(({ name, start }, index) => ({
    name: name.slice(prefix.length),
    bytes: file.subarray(start, rows[index + 1]?.start),
  }));
  return { offset, prefix, items, last: last.name.slice(prefix.length), end: last.start };
}

const aligned = (size: number) => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

/**
 * The same package with some of its items only, as bytes for the same place.
 * @param kept in the package's order
 * @param withLast the last item stays in the table, and at its place behind these bytes
 */
export function icuPackageBytes(
  file: Uint8Array,
  { offset, prefix, last, end }: Omit<IcuPackage, 'items'>,
  kept: readonly IcuItem[],
  withLast: boolean,
): Buffer {
  const original = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const header = original.subarray(offset, offset + original.readUInt16LE(offset));
  const listed = withLast ? [...kept.map((one) => one.name), last] : kept.map((one) => one.name);
  const table = Buffer.alloc(4 + listed.length * 8);
  table.writeUInt32LE(listed.length);
  const names = listed.map((name) => Buffer.from(`${prefix}${name}\0`, 'latin1'));
  let nameAt = table.byteLength;
  const namesEnd = nameAt + names.reduce((sum, one) => sum + one.byteLength, 0);
  let dataAt = aligned(namesEnd);
  const pieces: Buffer[] = [header, table, ...names, Buffer.alloc(dataAt - namesEnd)];
  kept.forEach(({ bytes }, index) => {
    table.writeUInt32LE(nameAt, 4 + index * 8);
    table.writeUInt32LE(dataAt, 8 + index * 8);
    nameAt += names[index]?.byteLength ?? 0;
    dataAt += aligned(bytes.byteLength);
    pieces.push(Buffer.from(bytes), Buffer.alloc(aligned(bytes.byteLength) - bytes.byteLength));
  });
  if (withLast) {
    table.writeUInt32LE(nameAt, 4 + kept.length * 8);
    table.writeUInt32LE(end - offset - header.byteLength, 8 + kept.length * 8);
  }
  return Buffer.concat(pieces);
}
