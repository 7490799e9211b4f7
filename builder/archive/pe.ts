/**
 * Adds sections to an EFI program, as systemd's stub expects a kernel, an initramfs and a command line in itself
 * (systemd-stub(7)). The format is Microsoft's PE; only what EFI programs have is understood.
 */

/** A section to add. */
export type PeSection = {
  /** At most eight letters, with the dot: `.linux`. */
  name: string;
  /** How many bytes it has. */
  size: number;
  /** How much memory it wants when that is more than it has bytes. */
  memory?: number;
};

/** What comes where in the new file. */
export type PeLayout = {
  /** The program with its new headers; the sections' bytes come after it. */
  head: Uint8Array;
  /** One for each section: where its bytes start in the file. Between them, and at the end, come zeros. */
  offsets: number[];
  /** Of the whole file. */
  size: number;
};

const SECTION_HEADER = 40;
/** Initialised data that may be read. */
const DATA = 0x40_00_00_40;

const alignUp = (value: number, to: number) => Math.ceil(value / to) * to;

type Headers = {
  machine: number;
  /** Offsets of the file header, of the optional one, and of the table of sections. */
  file: number;
  optional: number;
  table: number;
  count: number;
  sectionAlignment: number;
  fileAlignment: number;
  /** Room for headers, and the size of the program in memory. */
  headersSize: number;
  imageSize: number;
};

function readHeaders(bytes: Uint8Array): Headers {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fail = (why: string) => new RangeError(`this is no EFI program: ${why}`);
  if (view.length < 64 || view.toString('latin1', 0, 2) !== 'MZ') throw fail('it does not start with MZ');
  const file = view.readUInt32LE(0x3c);
  if (file + 24 > view.length || view.toString('latin1', file, file + 4) !== 'PE\0\0')
    throw fail('it has no PE header');
  const optional = file + 24;
  const table = optional + view.readUInt16LE(file + 20);
  const count = view.readUInt16LE(file + 6);
  if (table + count * SECTION_HEADER > view.length) throw fail('it ends too early');
  if (view.readUInt16LE(optional) !== 0x2_0b) throw fail('it is not 64-bit');
  return {
    machine: view.readUInt16LE(file + 4),
    file,
    optional,
    table,
    count,
    sectionAlignment: view.readUInt32LE(optional + 32),
    fileAlignment: view.readUInt32LE(optional + 36),
    imageSize: view.readUInt32LE(optional + 56),
    headersSize: view.readUInt32LE(optional + 60),
  };
}

/** How much memory an EFI program takes, headers included. @throws RangeError when it is none */
export function peImageSize(head: Uint8Array): number {
  return readHeaders(head).imageSize;
}

/** Machine that an EFI program is for. @throws RangeError when it is none */
export function peMachine(head: Uint8Array): number {
  return readHeaders(head).machine;
}

/**
 * Where sections go when they are added to a program.
 * @param program the whole of it
 * @throws RangeError when it is no EFI program, or has no room for their headers
 */
export function addPeSections(program: Uint8Array, sections: readonly PeSection[]): PeLayout {
  const headers = readHeaders(program);
  const { table, count, headersSize, fileAlignment, sectionAlignment } = headers;
  const end = table + (count + sections.length) * SECTION_HEADER;
  if (end > headersSize)
    throw new RangeError(`an EFI program has room for headers up to ${headersSize}, and ${end} are needed`);
  const head = Buffer.alloc(alignUp(program.byteLength, fileAlignment));
  head.set(program);
  let address = alignUp(headers.imageSize, sectionAlignment);
  let size = head.length;
  const offsets = sections.map((section, index) => {
    const at = table + (count + index) * SECTION_HEADER;
    const memory = Math.max(section.size, section.memory ?? 0);
    head.fill(0, at, at + SECTION_HEADER);
    head.write(section.name, at, 8, 'latin1');
    head.writeUInt32LE(memory, at + 8);
    head.writeUInt32LE(address, at + 12);
    head.writeUInt32LE(alignUp(section.size, fileAlignment), at + 16);
    head.writeUInt32LE(size, at + 20);
    head.writeUInt32LE(DATA, at + 36);
    const offset = size;
    address = alignUp(address + memory, sectionAlignment);
    size += alignUp(section.size, fileAlignment);
    return offset;
  });
  head.writeUInt16LE(count + sections.length, headers.file + 6);
  head.writeUInt32LE(address, headers.optional + 56);
  return { head, offsets, size };
}
