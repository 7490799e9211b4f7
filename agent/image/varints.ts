const PIECE_BYTES = 128 * 1024;
/** A number of 53 bits has at most eight digits to the base of 128. */
const MOST_DIGITS = 8;

/**
 * Whole numbers from 0 to 2^53 - 1 one after the other, small ones in few bytes: seven bits a byte, the lowest first, the top bit says
 * that more follow (as LEB128 does). Append only, and read from any position that `bytes` was at.
 */
export class Varints {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#put((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.#put(rest);
  }

  /** For numbers of either sign up to 2^52. */
  addSigned(value: number): void {
    this.add(value < 0 ? -2 * value - 1 : 2 * value);
  }

  #put(byte: number): void {
    const at = this.#bytes % PIECE_BYTES;
    if (at === 0) this.#pieces.push(new Uint8Array(PIECE_BYTES));
    const piece = this.#pieces.at(-1);
    if (piece) piece[at] = byte;
    this.#bytes++;
  }

  byteAt(position: number): number {
    return this.#pieces[Math.floor(position / PIECE_BYTES)]?.[position % PIECE_BYTES] ?? 0;
  }
}

/** Reads numbers on from a position. */
export class VarintReader {
  readonly #varints: Varints;
  position: number;

  constructor(varints: Varints, position: number) {
    this.#varints = varints;
    this.position = position;
  }

  next(): number {
    let value = 0;
    let factor = 1;
    for (let digits = 0; digits < MOST_DIGITS; digits++) {
      const byte = this.#varints.byteAt(this.position++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 0x80;
    }
    return value;
  }

  nextSigned(): number {
    const value = this.next();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}
