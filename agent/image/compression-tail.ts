import { crc32 } from 'node:zlib';

import { Failure } from '../../system/failure.ts';

/** How the last bytes of a file say that it is whole. */
type Tail = { bytes: number; isEnd: (last: Buffer) => boolean };

/** Stream footer (xz file format 2.1.2): CRC32 of the next six bytes, those, and "YZ". */
export const XZ_TAIL: Tail = {
  bytes: 12,
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

/**
 * Hands bytes through and looks at the last of them. Programs differ in what they make of a file that goes on after its end
 * (busybox takes no notice, bzip2 warns), and some of them take no notice of a checksum that is cut off.
 */
export async function* checkTail(chunks: AsyncIterable<Uint8Array>, tail: Tail): AsyncGenerator<Uint8Array> {
  let last = Buffer.alloc(0);
  for await (const chunk of chunks) {
    last = Buffer.concat([last, chunk.subarray(-tail.bytes)]).subarray(-tail.bytes);
    yield chunk;
  }
  if (last.length < tail.bytes || !tail.isEnd(last))
    throw new Failure('UNPACK_TAIL', 'it is cut off, or goes on after its end');
}
