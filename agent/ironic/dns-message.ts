import { isIPv6 } from 'node:net';

/** Types of records (RFC 1035, 3596, 2782). */
export const DNS_TYPE = { A: 1, TXT: 16, AAAA: 28, SRV: 33 } as const;

export type DnsQuestion = { name: string; type: number };
export type DnsRecord = { name: string } & (
  | { type: 'address'; address: string }
  | { type: 'service'; port: number; target: string }
  | { type: 'text'; texts: Uint8Array[] }
);

const HEADER_BYTES = 12;
const CLASS_IN = 1;
const LONGEST_NAME = 255;

function encodeName(name: string): Uint8Array {
  const labels = name
    .split('.')
    .filter((label) => label !== '')
    .map((label) => Buffer.concat([Uint8Array.of(Buffer.byteLength(label)), Buffer.from(label)]));
  return Buffer.concat([...labels, Uint8Array.of(0)]);
}

/** A query with an id of its own, as a resolver sends it that is no full responder (RFC 6762, 6.7). */
export function encodeQuery(id: number, questions: readonly DnsQuestion[]): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(questions.length, 4);
  const body = questions.map(({ name, type }) =>
    Buffer.concat([encodeName(name), Uint8Array.of(type >> 8, type & 0xff, 0, CLASS_IN)]),
  );
  return Buffer.concat([header, ...body]);
}

/** Reads on from a position; throws RangeError where the message ends too soon, or a name leads round and round. */
class Reader {
  readonly bytes: Buffer;
  position: number;
  constructor(bytes: Buffer, position = 0) {
    this.bytes = bytes;
    this.position = position;
  }

  u8(): number {
    return this.bytes.readUInt8(this.position++);
  }

  u16(): number {
    return this.u8() * 256 + this.u8();
  }

  take(length: number): Buffer {
    if (this.position + length > this.bytes.length) throw new RangeError('the message ends too soon');
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }

  /** Labels with dots between and behind them, in lower case: names are equal whatever their case. */
  name(): string {
    let text = '';
    let after: number | undefined;
    for (;;) {
      const start = this.position;
      const length = this.u8();
      if (length === 0) break;
      if (length >= 0xc0) {
        const target = (length & 0x3f) * 256 + this.u8();
        after ??= this.position;
        // What is pointed at came before; so each jump leads further to the front, and there is an end to it.
        if (target >= start) throw new RangeError('a name points forward');
        this.position = target;
      } else if (length > 63) throw new RangeError('a label of an unknown kind');
      else text += `${this.take(length).toString('utf8').toLowerCase()}.`;
      if (text.length > LONGEST_NAME) throw new RangeError('a name is too long');
    }
    if (after !== undefined) this.position = after;
    return text;
  }
}

function groups(bytes: Buffer): string {
  const words = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(':');
  return new URL(`http://[${words}]`).hostname.slice(1, -1); // the shortest form
}

function texts(data: Buffer): Uint8Array[] {
  const reader = new Reader(data);
  const found: Uint8Array[] = [];
  while (reader.position < data.length) found.push(reader.take(reader.u8()));
  return found;
}

function readRecord(reader: Reader): DnsRecord | undefined {
  const name = reader.name();
  const type = reader.u16();
  reader.take(6); // class, and how long it is good for
  const length = reader.u16();
  const start = reader.position;
  const data = reader.take(length);
  switch (type) {
    case DNS_TYPE.A:
      return length === 4 ? { name, type: 'address', address: data.join('.') } : undefined;
    case DNS_TYPE.AAAA: {
      const address = length === 16 ? groups(data) : '';
      return isIPv6(address) ? { name, type: 'address', address } : undefined;
    }
    case DNS_TYPE.TXT:
      return { name, type: 'text', texts: texts(data) };
    case DNS_TYPE.SRV: {
      if (length < 7) return undefined;
      // Its name may point into the rest of the message.
      const target = new Reader(reader.bytes.subarray(0, start + length), start + 6).name();
      return { name, type: 'service', port: data.readUInt16BE(4), target };
    }
    default:
      return undefined;
  }
}

/**
 * The records of an answer, whatever section they are in; those of types that nobody here needs are left out.
 * @param id of the query; the answer repeats it, or says 0 where it went to all
 * @returns undefined for what is no answer, or none that can be read
 */
export function readAnswer(bytes: Uint8Array, id: number): DnsRecord[] | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < HEADER_BYTES) return undefined;
  const given = buffer.readUInt16BE(0);
  if ((given !== id && given !== 0) || (buffer.readUInt16BE(2) & 0x80_00) === 0) return undefined;
  const [questions, ...counts] = [4, 6, 8, 10].map((offset) => buffer.readUInt16BE(offset));
  const reader = new Reader(buffer, HEADER_BYTES);
  const records: DnsRecord[] = [];
  try {
    for (let index = 0; index < (questions ?? 0); index += 1) {
      reader.name();
      reader.take(4);
    }
    for (let left = counts.reduce((sum, count) => sum + count, 0); left > 0; left -= 1) {
      const record = readRecord(reader);
      if (record !== undefined) records.push(record);
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  return records;
}
