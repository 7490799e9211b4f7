import { refuseImage } from './qcow2-header.ts';

/** What a range of the image file is for. */
export const PLACEMENT_KINDS = { data: 0, compressed: 1, header: 2, l1: 3, l2: 4 } as const;

/** A range of the image file; for data and compressed clusters also where in the guest it goes. Bytes. */
export type Placement = { kind: number; host: number; length: number; guest: number };

/**
 * Most ranges that are kept: 33 bytes each, so about 70 MB. Neighbours count as one, so an image that was converted in one go
 * needs few; compressed clusters count one by one (2 million of 64 KiB are 128 GiB).
 */
const MOST_PLACEMENTS = 2 * 1024 ** 2;

/** Where every part of a qcow2 file goes, in columns, because millions of objects would not fit in a small machine. */
export class Placements {
  #count = 0;
  #host = new Float64Array(1024);
  #length = new Float64Array(1024);
  #guest = new Float64Array(1024);
  #kind = new Uint8Array(1024);

  get count(): number {
    return this.#count;
  }

  /**
   * Adds a range; one that continues the range before in file and guest is joined to it.
   * @throws AgentError `InvalidImage` when the image is in more pieces than memory has room for
   */
  add(kind: number, host: number, length: number, guest: number): void {
    const last = this.#count - 1;
    if (
      kind === PLACEMENT_KINDS.data &&
      this.#kind[last] === kind &&
      (this.#host[last] ?? 0) + (this.#length[last] ?? 0) === host &&
      (this.#guest[last] ?? 0) + (this.#length[last] ?? 0) === guest
    ) {
      this.#length[last] = (this.#length[last] ?? 0) + length;
      return;
    }
    if (this.#count === MOST_PLACEMENTS)
      throw refuseImage(
        `it is in more than ${MOST_PLACEMENTS} pieces, for which there is no memory; use larger clusters (-o cluster_size=2M)`,
      );
    if (this.#count === this.#host.length) this.#grow();
    this.#kind[this.#count] = kind;
    this.#host[this.#count] = host;
    this.#length[this.#count] = length;
    this.#guest[this.#count] = guest;
    this.#count++;
  }

  #grow(): void {
    const size = this.#host.length * 2;
    const larger = (old: Float64Array<ArrayBuffer>) => {
      const array = new Float64Array(size);
      array.set(old);
      return array;
    };
    this.#host = larger(this.#host);
    this.#length = larger(this.#length);
    this.#guest = larger(this.#guest);
    const kinds = new Uint8Array(size);
    kinds.set(this.#kind);
    this.#kind = kinds;
  }

  at(index: number): Placement {
    return {
      kind: this.#kind[index] ?? 0,
      host: this.#host[index] ?? 0,
      length: this.#length[index] ?? 0,
      guest: this.#guest[index] ?? 0,
    };
  }

  #orderBy(column: Float64Array): Uint32Array {
    const order = Uint32Array.from({ length: this.#count }, (_, index) => index);
    let isSorted = true;
    for (let i = 1; i < this.#count && isSorted; i++) isSorted = (column[i - 1] ?? 0) <= (column[i] ?? 0);
    return isSorted ? order : order.toSorted((a, b) => (column[a] ?? 0) - (column[b] ?? 0));
  }

  /** Indexes in the order in which the file holds them. */
  inFileOrder(): Uint32Array {
    return this.#orderBy(this.#host);
  }

  /**
   * Guest ranges that no cluster covers; they read as zeros.
   * @param clusterBytes what a compressed cluster is in the guest
   */
  *gaps(sizeBytes: number, clusterBytes: number): Generator<{ position: number; length: number }> {
    let end = 0;
    for (const index of this.#orderBy(this.#guest)) {
      const kind = this.#kind[index] ?? 0;
      if (kind > PLACEMENT_KINDS.compressed) continue;
      const guest = this.#guest[index] ?? 0;
      if (guest > end) yield { position: end, length: guest - end };
      end = guest + (kind === PLACEMENT_KINDS.data ? (this.#length[index] ?? 0) : clusterBytes);
    }
    if (end < sizeBytes) yield { position: end, length: sizeBytes - end };
  }
}

/**
 * Refuses files in which two ranges share bytes. Only compressed clusters may touch: their length is counted in sectors of 512 bytes,
 * so the last sector of one may hold the beginning of the next.
 */
export function checkOverlaps(placements: Placements, order: Uint32Array): void {
  let before: Placement | undefined;
  for (const index of order) {
    const now = placements.at(index);
    if (before) {
      const isPacked = before.kind === PLACEMENT_KINDS.compressed && now.kind === PLACEMENT_KINDS.compressed;
      const shared = before.host + before.length - now.host;
      if (shared > (isPacked ? 511 : 0)) throw refuseImage(`two parts of it overlap at byte ${now.host} of the file`);
    }
    before = now;
  }
}
