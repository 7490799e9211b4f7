import { crc32 } from 'node:zlib';

/** CRC-32 of ISO 3309, bits reversed, as zlib has it. */
const POLYNOMIAL = 0xed_b8_83_20;

/** Product of two polynomials modulo the CRC's, bits reversed: 0x80000000 is 1. */
function multiply(a: number, b: number): number {
  let [rest, factor, product] = [a, b, 0];
  for (let bit = 0; bit < 32; bit++) {
    // The sign bit is the coefficient of the power that is worked on.
    if (rest < 0) product ^= factor;
    rest <<= 1;
    factor = (factor & 1) === 0 ? factor >>> 1 : (factor >>> 1) ^ POLYNOMIAL;
  }
  return product;
}

/** x to the power of 8 * 2^i: what a CRC is multiplied with to move it 2^i bytes. */
const MOVES: readonly number[] = (() => {
  let power = 0x00_80_00_00; // x^8
  return Array.from({ length: 40 }, () => {
    const move = power;
    power = multiply(power, power);
    return move;
  });
})();

function moveBy(crc: number, bytes: number): number {
  let moved = crc;
  for (let [index, rest] = [0, bytes]; rest > 0; index++, rest = Math.floor(rest / 2))
    if (rest % 2 === 1) moved = multiply(MOVES[index] ?? 0, moved);
  return moved;
}

const ALL_ONES = 0xff_ff_ff_ff | 0;

/** The remainder alone, without zlib's initial and final inversion: linear, and 0 for zeros of any length. */
export function remainder(bytes: Uint8Array): number {
  return crc32(bytes) ^ ALL_ONES ^ moveBy(ALL_ONES, bytes.length);
}

/** What bytes add to the remainder of a block in which so many bytes follow them. Pieces of a block are combined with `^`. */
export function remainderWithin(bytes: Uint8Array, bytesAfter: number): number {
  return moveBy(remainder(bytes), bytesAfter);
}
