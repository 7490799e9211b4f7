import { randomBytes } from 'node:crypto';

/** What a time server's answer is worth: the milliseconds by which the own clock is behind, or why it is of no use. */
export type TimeAnswer = { offsetMs: number } | { reason: string };

const PACKET_BYTES = 48;
/** Leap indicator 0, version 4, mode 3: a client (RFC 5905, 7.3). */
const CLIENT = 0b00_100_011;
const SERVER_MODE = 4;
const UNSYNCHRONIZED = 3;
const MOST_STRATUM = 15;
/** From 1900, where NTP counts from, to 1970, seconds (RFC 5905, figure 4). */
const EPOCH = 2_208_988_800;

/** Milliseconds since 1970; seconds of the first half belong to the era that begins in 2036. */
function readTime(packet: DataView, offset: number): number {
  const seconds = packet.getUint32(offset);
  const era = seconds < 0x80_00_00_00 ? 2 ** 32 : 0;
  return (seconds + era - EPOCH) * 1000 + (packet.getUint32(offset + 4) / 2 ** 32) * 1000;
}

/**
 * One question to a time server. It says nothing of the own clock: where a timestamp is expected there are random bytes, which
 * the answer has to repeat.
 */
export function timeQuestion(): Uint8Array {
  const packet = new Uint8Array(PACKET_BYTES);
  packet[0] = CLIENT;
  packet.set(randomBytes(8), PACKET_BYTES - 8);
  return packet;
}

/**
 * @param sent own clock when the question went out, milliseconds since 1970
 * @param received own clock when the answer came in
 * @returns undefined for a packet that is no answer to this question
 */
export function readTimeAnswer(
  bytes: Uint8Array,
  question: Uint8Array,
  sent: number,
  received: number,
): TimeAnswer | undefined {
  if (bytes.length < PACKET_BYTES) return undefined;
  const first = bytes[0] ?? 0;
  const isAnswer = Buffer.from(bytes.subarray(24, 32)).equals(question.subarray(PACKET_BYTES - 8));
  if ((first & 0b111) !== SERVER_MODE || !isAnswer) return undefined;
  const stratum = bytes[1] ?? 0;
  if (stratum === 0) {
    const code = Buffer.from(bytes.subarray(12, 16))
      .toString('latin1')
      .replaceAll(/[^A-Z]/g, '');
    return { reason: `it refuses to answer${code === '' ? '' : ` (${code})`}` };
  }
  if (first >> 6 === UNSYNCHRONIZED || stratum > MOST_STRATUM)
    return { reason: 'it answers that it does not know the time itself' };
  const packet = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [arrived, left] = [readTime(packet, 32), readTime(packet, 40)];
  return { offsetMs: (arrived - sent + (left - received)) / 2 };
}
