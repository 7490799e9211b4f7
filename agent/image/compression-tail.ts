import { crc32 } from 'node:zlib';

import { Failure } from '../../system/failure.ts';

/** How the last bytes of a file say that it is whole. */
type Tail = {
  bytes: number;
  isEnd: (last: Buffer) => boolean;
  /** So many zeros, or a multiple, may follow. */
  paddingBytes?: number;
};

/** Stream footer (xz file format 2.1.2): CRC32 of the next six bytes, those, and "YZ"; padding behind it (2.2) is part of the format. */
export const XZ_TAIL: Tail = {
  bytes: 12,
  paddingBytes: 4,
  isEnd: (last) => last.subarray(10).equals(Buffer.from('YZ')) && last.readUInt32LE(0) === crc32(last.subarray(4, 10)),
};

const BZIP2_END = 0x17_72_45_38_50_90n;

/** The end mark of 48 bits and a checksum of 32, then zeros up to the next whole byte. */
export const BZIP2_TAIL: Tail = {
  bytes: 11,
  isEnd: (last) => {
    const bits = BigInt(`0x${last.toString('hex')}`);
    return [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].some(
      (padding) => ((bits >> (32n + padding)) & 0xff_ff_ff_ff_ff_ffn) === BZIP2_END && bits % 2n ** padding === 0n,
    );
  },
};

const ZEROS = Buffer.alloc(64 * 1024);

/** @returns how many bytes are before the zeros at the end */
function lengthBeforeZeros(bytes: Uint8Array): number {
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === 0) length--;
  return length;
}

/**
 * Hands bytes through and looks at the last of them. Programs differ in what they make of a file that goes on after its end
 * (busybox takes no notice, bzip2 warns), and some of them take no notice of a checksum that is cut off. Padding at the end is kept back:
 * busybox takes little of it for an error, and more of it not.
 */
export async function* checkTail(chunks: AsyncIterable<Uint8Array>, tail: Tail): AsyncGenerator<Uint8Array> {
  const { paddingBytes } = tail;
  let last = Buffer.alloc(0);
  const keep = (bytes: Uint8Array) => {
    last = Buffer.concat([last, bytes.subarray(-tail.bytes)]).subarray(-tail.bytes);
    return bytes;
  };
  /** That came after `last`, and are padding unless something follows. */
  let zeros = 0;
  for await (const chunk of chunks) {
    const length = paddingBytes === undefined ? chunk.length : lengthBeforeZeros(chunk);
    if (length > 0) {
      for (; zeros > 0; zeros -= Math.min(zeros, ZEROS.length)) yield keep(ZEROS.subarray(0, zeros));
      yield keep(chunk.subarray(0, length));
    }
    zeros += chunk.length - length;
  }
  if (last.length < tail.bytes || !tail.isEnd(last) || zeros % (paddingBytes ?? 1) !== 0)
    throw new Failure('UNPACK_TAIL', 'it is cut off, or goes on after its end');
}
