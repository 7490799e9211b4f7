/** What a responder announces. */
export type Announcement = {
  /** `baremetal._openstack._tcp.local` */
  name: string;
  target: string;
  port: number;
  texts: readonly string[];
  addresses: readonly string[];
  /** Leaves addresses out, as responders may. */
  withoutAddresses?: boolean;
};

const label = (text: string): Buffer => Buffer.concat([Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)]);
const plainName = (name: string): Buffer => Buffer.concat([...name.split('.').map(label), Buffer.from([0])]);

function record(name: Buffer, type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(0x80_01, 2); // class IN, cache flush
  head.writeUInt32BE(120, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([name, head, data]);
}

function addressRecord(name: Buffer, address: string): Buffer {
  if (!address.includes(':')) return record(name, 1, Buffer.from(address.split('.').map(Number)));
  const [head = '', tail = ''] = address.split('::');
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const [left, right] = [words(head), words(tail)];
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
  return record(name, 28, Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff])));
}

/** The answer to a query, with compressed names as RFC 1035 has them. It goes only to whoever asks for the service. */
export function mdnsAnswer(query: Uint8Array, service: Announcement): Uint8Array | undefined {
  const bytes = Buffer.from(query);
  const name = plainName(service.name);
  if (bytes.indexOf(name) !== 12) return undefined;
  const asksAddress = bytes.includes(Buffer.concat([plainName(service.target), Buffer.from([0, 1, 0, 1])]));
  const header = Buffer.alloc(12);
  bytes.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x84_00, 2);
  header.writeUInt16BE(1, 4); // the question once more, for resolvers of the old kind
  const question = bytes.subarray(12, 12 + name.length + 4);
  const toQuestion = Buffer.from([0xc0, 12]);
  const location = Buffer.alloc(6);
  location.writeUInt16BE(service.port, 4);
  const srv = record(toQuestion, 33, Buffer.concat([location, plainName(service.target)]));
  const targetAt = 12 + question.length + 2 + 10 + 6;
  const toTarget = Buffer.from([0xc0 | (targetAt >> 8), targetAt & 0xff]);
  const txt = record(toQuestion, 16, Buffer.concat(service.texts.map(label)));
  const isWanted = service.withoutAddresses !== true || asksAddress;
  const more = isWanted ? service.addresses.map((address) => addressRecord(toTarget, address)) : [];
  header.writeUInt16BE(2, 6);
  header.writeUInt16BE(more.length, 10);
  return Buffer.concat([header, question, srv, txt, ...more]);
}
