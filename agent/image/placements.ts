import { refuseImage } from './qcow2-header.ts';
import { VarintReader, Varints } from './varints.ts';

/** What a range of the image file is for. */
export const PLACEMENT_KINDS = { data: 0, compressed: 1, header: 2, l1: 3, l2: 4, refcounts: 5 } as const;

/** A range of the image file; for data and compressed clusters also where in the guest it goes. Bytes. */
export type Placement = { kind: number; host: number; length: number; guest: number };

/** Ranges that are sorted at a time; each such run is kept packed. */
const RUN_ENTRIES = 64 * 1024;
const SECTOR_BYTES = 512;

/**
 * How an entry of a run is packed: the lowest two bits of its first number. Nearly all clusters of any real image follow each other in
 * the file, so the way to the next one says how long this one is.
 */
const FORMS = {
  /** Way to the next in bytes; kind; length; way from the guest position that was expected. */
  any: 0,
  /** Compressed, packed byte to byte, at the expected guest position: nothing but the way to the next, three bytes for 64 KiB. */
  nextCompressed: 1,
  /** Data up to the next entry; the way is counted in sectors. Way from the expected guest position. */
  data: 2,
  /** Compressed, packed byte to byte. Way from the expected guest position. */
  compressed: 3,
} as const;

/** Bytes of the sectors that a compressed cluster touches, from its first byte on (qcow2.txt, "Compressed Clusters Descriptor"). */
function sectorsOf(host: number, bytes: number): number {
  return Math.ceil((host + bytes) / SECTOR_BYTES) * SECTOR_BYTES - host;
}

type Run = { start: number; end: number; firstHost: number };

/** Reads the entries of one run in file order. */
class RunCursor {
  readonly #reader: VarintReader;
  readonly #end: number;
  readonly #clusterBytes: number;
  #host: number;
  #expected = 0;
  current: Placement | undefined;

  constructor(varints: Varints, run: Run, clusterBytes: number) {
    this.#reader = new VarintReader(varints, run.start);
    this.#end = run.end;
    this.#host = run.firstHost;
    this.#clusterBytes = clusterBytes;
    this.advance();
  }

  advance(): void {
    this.current = this.#reader.position < this.#end ? this.#read() : undefined;
  }

  #read(): Placement {
    const reader = this.#reader;
    const first = reader.next();
    const form = first % 4;
    const way = (first - form) / 4;
    const host = this.#host;
    let kind: number = PLACEMENT_KINDS.compressed;
    let onward = way;
    let length: number;
    if (form === FORMS.any) {
      kind = reader.next();
      length = reader.next();
    } else if (form === FORMS.data) {
      kind = PLACEMENT_KINDS.data;
      onward = way * SECTOR_BYTES;
      length = onward;
    } else length = sectorsOf(host, way);
    const guest = this.#expected + (form === FORMS.nextCompressed ? 0 : reader.nextSigned() * SECTOR_BYTES);
    this.#host += onward;
    this.#expected = guest + guestBytes(kind, length, this.#clusterBytes);
    return { kind, host, length, guest };
  }
}

/** What an entry covers of the guest, in whole sectors: only the guest's last one may be cut short. */
function guestBytes(kind: number, length: number, clusterBytes: number): number {
  if (kind === PLACEMENT_KINDS.compressed) return clusterBytes;
  return kind === PLACEMENT_KINDS.data ? Math.ceil(length / SECTOR_BYTES) * SECTOR_BYTES : 0;
}

/**
 * Where every part of a qcow2 file goes. Ranges are added in any order and come out in the order of the file; in between they are
 * packed, because millions of objects, or of rows in columns, would not fit into a small machine: three bytes for a compressed
 * cluster of an image that was converted in one go, five or six for a cluster that was written at random.
 */
export class Placements {
  readonly #clusterBytes: number;
  readonly #varints = new Varints();
  readonly #runs: Run[] = [];
  #count = 0;
  #host = new Float64Array(RUN_ENTRIES);
  #length = new Float64Array(RUN_ENTRIES);
  #guest = new Float64Array(RUN_ENTRIES);
  #kind = new Uint8Array(RUN_ENTRIES);

  /** @param clusterBytes what a compressed cluster is in the guest */
  constructor(clusterBytes: number) {
    this.#clusterBytes = clusterBytes;
  }

  /** Bytes of memory that the packed ranges take. */
  get packedBytes(): number {
    return this.#varints.bytes;
  }

  /** Adds a range; data that continues the range before in file and guest is joined to it. */
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
    if (this.#count === RUN_ENTRIES) this.#pack();
    this.#host[this.#count] = host;
    this.#length[this.#count] = length;
    this.#guest[this.#count] = guest;
    this.#kind[this.#count] = kind;
    this.#count++;
  }

  /** After the last `add`: gives back the memory that sorting took. */
  seal(): void {
    this.#pack();
    this.#host = new Float64Array();
    this.#length = new Float64Array();
    this.#guest = new Float64Array();
    this.#kind = new Uint8Array();
  }

  #pack(): void {
    if (this.#count === 0) return;
    const host = this.#host;
    const order = Uint32Array.from({ length: this.#count }, (_, index) => index);
    let isSorted = true;
    for (let i = 1; i < this.#count && isSorted; i++) isSorted = (host[i - 1] ?? 0) <= (host[i] ?? 0);
    if (!isSorted) order.sort((a, b) => (host[a] ?? 0) - (host[b] ?? 0));
    const start = this.#varints.bytes;
    let expected = 0;
    for (let i = 0; i < order.length; i++) expected = this.#packEntry(order[i] ?? 0, order[i + 1], expected);
    this.#runs.push({ start, end: this.#varints.bytes, firstHost: host[order[0] ?? 0] ?? 0 });
    this.#count = 0;
  }

  /** @returns the guest position that is expected of the next entry */
  #packEntry(index: number, next: number | undefined, expected: number): number {
    const [kind, host, length] = [this.#kind[index] ?? 0, this.#host[index] ?? 0, this.#length[index] ?? 0];
    const guest = kind <= PLACEMENT_KINDS.compressed ? (this.#guest[index] ?? 0) : expected;
    const way = next === undefined ? length : (this.#host[next] ?? 0) - host;
    const fromExpected = (guest - expected) / SECTOR_BYTES;
    const varints = this.#varints;
    if (kind === PLACEMENT_KINDS.compressed && way > 0 && sectorsOf(host, way) === length) {
      varints.add(way * 4 + (fromExpected === 0 ? FORMS.nextCompressed : FORMS.compressed));
      if (fromExpected !== 0) varints.addSigned(fromExpected);
    } else if (kind === PLACEMENT_KINDS.data && way === length && way % SECTOR_BYTES === 0) {
      varints.add((way / SECTOR_BYTES) * 4 + FORMS.data);
      varints.addSigned(fromExpected);
    } else {
      varints.add(way * 4 + FORMS.any);
      varints.add(kind);
      varints.add(length);
      varints.addSigned(fromExpected);
    }
    return guest + guestBytes(kind, length, this.#clusterBytes);
  }

  /** All ranges in the order in which the file holds them. Call `seal` before. */
  *inFileOrder(): Generator<Placement, undefined> {
    const hostOf = (cursor: RunCursor) => cursor.current?.host ?? Infinity;
    // The cursor with the lowest position is the last one. Runs hardly ever interleave, so it mostly stays there.
    const cursors = this.#runs
      .map((run) => new RunCursor(this.#varints, run, this.#clusterBytes))
      .toSorted((a, b) => hostOf(b) - hostOf(a));
    for (let cursor = cursors.pop(); cursor; cursor = cursors.pop()) {
      const limit = cursors.length === 0 ? Infinity : hostOf(cursors.at(-1) as RunCursor);
      while (cursor.current && cursor.current.host <= limit) {
        yield cursor.current;
        cursor.advance();
      }
      if (!cursor.current) continue;
      let at = cursors.length;
      while (at > 0 && hostOf(cursors[at - 1] as RunCursor) < cursor.current.host) at--;
      cursors.splice(at, 0, cursor);
    }
  }
}

/**
 * Refuses files in which two ranges share bytes. Only compressed clusters may touch: their length is counted in sectors of 512 bytes,
 * so the last sector of one may hold the beginning of the next.
 */
export function checkOverlaps(placements: Placements): void {
  let before: Placement | undefined;
  for (const now of placements.inFileOrder()) {
    if (before) {
      const isPacked = before.kind === PLACEMENT_KINDS.compressed && now.kind === PLACEMENT_KINDS.compressed;
      const shared = before.host + before.length - now.host;
      if (shared > (isPacked ? 511 : 0)) throw refuseImage(`two parts of it overlap at byte ${now.host} of the file`);
    }
    before = now;
  }
}
