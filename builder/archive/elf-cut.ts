import { isElf64 } from './elf.ts';

const PT_LOAD = 1;
const PT_NOTE = 4;
const PROGRAM_HEADER_BYTES = 56;
const SHT_NOBITS = 8;

/** Larger than any page of a supported architecture, and what their linkers align segments to at most. */
const ALIGNMENT = 65_536;

type Segment = { type: number; flags: number; offset: number; address: number; fileBytes: number; rest: Buffer };

function readSegments(file: Buffer): Segment[] {
  const table = Number(file.readBigUInt64LE(32));
  return Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = table + index * PROGRAM_HEADER_BYTES;
    return {
      type: file.readUInt32LE(at),
      flags: file.readUInt32LE(at + 4),
      offset: Number(file.readBigUInt64LE(at + 8)),
      address: Number(file.readBigUInt64LE(at + 16)),
      fileBytes: Number(file.readBigUInt64LE(at + 32)),
      rest: file.subarray(at, at + PROGRAM_HEADER_BYTES),
    };
  });
}

function segmentHeader(segment: Segment, change: Partial<Segment>): Buffer {
  const { offset, address, fileBytes } = { ...segment, ...change };
  const header = Buffer.from(segment.rest);
  const memoryBytes = Number(segment.rest.readBigUInt64LE(40)) - segment.fileBytes + fileBytes;
  header.writeBigUInt64LE(BigInt(offset), 8);
  header.writeBigUInt64LE(BigInt(address), 16);
  header.writeBigUInt64LE(BigInt(address), 24);
  header.writeBigUInt64LE(BigInt(fileBytes), 32);
  header.writeBigUInt64LE(BigInt(memoryBytes), 40);
  return header;
}

/**
 * Whether a segment has notes of the linker only (build id, ABI), which nothing reads here; a program may keep what it needs in notes
 * of other names, as a single executable of Node does with its script.
 */
function isLinkersNote(file: Buffer, { offset, fileBytes }: Segment): boolean {
  let at = offset;
  while (at + 16 <= offset + fileBytes) {
    if (file.toString('latin1', at + 12, at + 16) !== 'GNU\0') return false;
    const [nameBytes, contentBytes] = [file.readUInt32LE(at), file.readUInt32LE(at + 4)];
    at += 12 + Math.ceil(nameBytes / 4) * 4 + Math.ceil(contentBytes / 4) * 4;
  }
  return true;
}

/** The program headers after the cut: the segment with the hole becomes two, and a note that nothing reads makes room for it. */
function cutSegments(
  file: Buffer,
  segments: readonly Segment[],
  hole: Segment,
  start: number,
  end: number,
): Buffer[] | undefined {
  const note = segments.findLast((one) => one.type === PT_NOTE && isLinkersNote(file, one));
  if (note === undefined) return undefined;
  return segments.flatMap((one) => {
    if (one === note) return [];
    if (one === hole)
      return [
        segmentHeader(one, { fileBytes: start - one.offset }),
        segmentHeader(one, {
          offset: start,
          address: one.address + (end - one.offset),
          fileBytes: one.offset + one.fileBytes - end,
        }),
      ];
    return [segmentHeader(one, one.offset >= end ? { offset: one.offset - (end - start) } : {})];
  });
}

/** Moves what section headers say; nothing that runs reads them, tools do. */
function moveSections(file: Buffer, table: number, start: number, end: number): void {
  const [size, count] = [file.readUInt16LE(58), file.readUInt16LE(60)];
  for (let at = table; at < table + count * size; at += size) {
    const offset = Number(file.readBigUInt64LE(at + 24));
    const length = Number(file.readBigUInt64LE(at + 32));
    if (offset >= end) file.writeBigUInt64LE(BigInt(offset - (end - start)), at + 24);
    else if (offset + length > start && file.readUInt32LE(at + 4) !== SHT_NOBITS)
      file.writeBigUInt64LE(BigInt(start - offset), at + 32);
  }
}

/**
 * Takes a stretch that nothing uses any more out of a program or library: out of the file, and out of memory, where its
 * addresses are left unmapped. Everything else keeps its address.
 * @param from offset in the file
 * @param to offset in the file of the first byte that is kept again
 * @returns the shorter file, or the same one when the stretch is too short or the file has no header to spare for it
 */
export function cutElf(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isElf64(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength))) return bytes;
  const segments = readSegments(file);
  const hole = segments.find((one) => one.type === PT_LOAD && one.offset < from && to < one.offset + one.fileBytes);
  if (hole === undefined) return bytes;
  // Offsets and addresses must stay equal modulo a page, so only whole ones go.
  const start = Math.ceil(from / ALIGNMENT) * ALIGNMENT;
  const end = start + Math.floor((to - start) / ALIGNMENT) * ALIGNMENT;
  if (end <= start) return bytes;
  const headers = cutSegments(file, segments, hole, start, end);
  if (headers === undefined) return bytes;
  const shorter = Buffer.concat([file.subarray(0, start), file.subarray(end)]);
  Buffer.concat(headers).copy(shorter, Number(file.readBigUInt64LE(32)));
  const sections = Number(file.readBigUInt64LE(40));
  const moved = sections >= end ? sections - (end - start) : sections;
  shorter.writeBigUInt64LE(BigInt(moved), 40);
  moveSections(shorter, moved, start, end);
  return shorter;
}
