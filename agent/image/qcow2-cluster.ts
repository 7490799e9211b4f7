import { promisify } from 'node:util';
import { inflateRaw, zstdDecompress } from 'node:zlib';

import { reasonOf } from '../../system/failure.ts';
import type { AgentError } from '../api/errors.ts';
import { refuseImage } from './qcow2-header.ts';

const inflate = promisify(inflateRaw);
const unzstd = promisify(zstdDecompress);
const ZSTD_MAGIC = 0xfd_2f_b5_28;

/**
 * Length of the one zstd frame that a buffer begins with (RFC 8878 3.1.1). Node takes whatever follows a frame for another one,
 * and a compressed cluster ends somewhere in its last sector.
 */
export function zstdFrameBytes(bytes: Uint8Array): number {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = () => refuseImage('a compressed cluster is no whole zstd frame');
  if (buffer.length < 6 || buffer.readUInt32LE(0) !== ZSTD_MAGIC) throw end();
  const descriptor = buffer.readUInt8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const contentSizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  let at = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes;
  for (let isLast = false; !isLast;) {
    if (at + 3 > buffer.length) throw end();
    const block = buffer.readUIntLE(at, 3);
    isLast = (block & 1) !== 0;
    // A block of type 1 is one byte, repeated.
    at += 3 + (((block >>> 1) & 3) === 1 ? 1 : block >>> 3);
  }
  at += (descriptor & 4) === 0 ? 0 : 4;
  if (at > buffer.length) throw end();
  return at;
}

/** @param found why it cannot be unpacked, or to how many bytes it is unpacked */
export function wrongCluster(found: string | number, clusterBytes: number): AgentError {
  return refuseImage(
    typeof found === 'string'
      ? `a compressed cluster cannot be unpacked (${found})`
      : `a compressed cluster has ${found} bytes, not ${clusterBytes}`,
  );
}

/**
 * One compressed cluster, unpacked in Node's thread pool.
 * @returns exactly `clusterBytes` bytes
 * @throws AgentError `InvalidImage` when it is damaged or unpacks to another length
 */
export async function decompressCluster(
  compression: 'zlib' | 'zstd',
  bytes: Uint8Array,
  clusterBytes: number,
): Promise<Buffer> {
  // One byte more, or Node makes a second buffer of this size as soon as the first one is full.
  const options = { maxOutputLength: clusterBytes, chunkSize: clusterBytes + 1 };
  let cluster: Buffer;
  try {
    cluster =
      compression === 'zlib'
        ? await inflate(bytes, options)
        : await unzstd(bytes.subarray(0, zstdFrameBytes(bytes)), options);
  } catch (error) {
    throw wrongCluster(reasonOf(error), clusterBytes);
  }
  if (cluster.length !== clusterBytes) throw wrongCluster(cluster.length, clusterBytes);
  return cluster;
}
