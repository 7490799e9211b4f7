import { VarintReader, Varints } from './varints.ts';

/** A part of the guest, bytes. */
export type Gap = { position: number; length: number };

/**
 * Parts of the guest that the file has no bytes for; they read as zeros. Kept packed, in the order in which they were added;
 * neighbours are joined.
 */
export class Gaps {
  readonly #varints = new Varints();
  #last: Gap = { position: 0, length: 0 };
  /** End of the gap that was packed last. */
  #packedEnd = 0;
  #bytes = 0;

  /** All gaps together. */
  get guestBytes(): number {
    return this.#bytes;
  }

  get packedBytes(): number {
    return this.#varints.bytes;
  }

  add(position: number, length: number): void {
    this.#bytes += length;
    if (position === this.#last.position + this.#last.length) {
      this.#last.length += length;
      return;
    }
    this.#pack();
    this.#last = { position, length };
  }

  #pack(): void {
    const { position, length } = this.#last;
    if (length === 0) return;
    this.#varints.addSigned(position - this.#packedEnd);
    this.#varints.add(length);
    this.#packedEnd = position + length;
  }

  *all(): Generator<Gap> {
    const reader = new VarintReader(this.#varints, 0);
    let end = 0;
    while (reader.position < this.#varints.bytes) {
      const position = end + reader.nextSigned();
      const length = reader.next();
      end = position + length;
      yield { position, length };
    }
    if (this.#last.length > 0) yield this.#last;
  }
}
