/** Numbers from 0 up to 1 that are the same for the same seed (mulberry32, public domain). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Picks places of a stream whose length nobody knows yet, one at random out of every equal part of it (a stratified sample). When
 * there are too many, every second goes and the parts are twice as long from then on: the count stays between `most / 2` and `most`.
 */
export class Strata<T> {
  readonly #random: () => number;
  readonly #most: number;
  #kept: T[] = [];
  #passed = 0;
  #part = 1024 ** 2;
  #next: number;

  constructor(most: number, seed: number) {
    this.#most = most;
    this.#random = seeded(seed);
    this.#next = this.#random() * this.#part;
  }

  get kept(): readonly T[] {
    return this.#kept;
  }

  /** @param sample makes a sample of the place that lies so many bytes behind the beginning of what passes now */
  pass(lengthBytes: number, sample: (offset: number) => T): void {
    const end = this.#passed + lengthBytes;
    while (this.#next < end) {
      this.#kept.push(sample(Math.floor(this.#next - this.#passed)));
      if (this.#kept.length === this.#most) {
        this.#kept = this.#kept.filter((_, index) => index % 2 === 0);
        this.#part *= 2;
      }
      this.#next = (Math.floor(this.#next / this.#part) + 1 + this.#random()) * this.#part;
    }
    this.#passed = end;
  }
}
