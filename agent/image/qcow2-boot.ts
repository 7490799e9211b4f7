import { BOOT_BYTES } from './boot-sectors.ts';
import { decompressCluster } from './qcow2-cluster.ts';
import { PLACEMENT_KINDS } from './placements.ts';
import type { Qcow2Map } from './qcow2-tables.ts';
import type { ImageContents } from './contents.ts';

/** The first bytes that the guest would see, read ahead of the one pass so that a wrong image is refused before anything is written. */
export async function readQcow2Boot(map: Qcow2Map, source: ImageContents, signal: AbortSignal): Promise<Buffer> {
  const { compression, clusterBytes, sizeBytes } = map.header;
  const boot = Buffer.alloc(Math.min(BOOT_BYTES, sizeBytes));
  for (const placement of map.boot) {
    const isData = placement.kind === PLACEMENT_KINDS.data;
    const wanted = isData ? Math.min(placement.length, BOOT_BYTES - placement.guest) : placement.length;
    const length = Math.min(wanted, (source.sizeBytes ?? Infinity) - placement.host);
    for await (const bytes of source.read([{ position: placement.host, length }], signal)) {
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      boot.set(
        (isData ? buffer : await decompressCluster(compression, buffer, clusterBytes)).subarray(
          0,
          boot.length - placement.guest,
        ),
        placement.guest,
      );
    }
  }
  return boot;
}
