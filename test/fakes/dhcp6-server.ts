import { SocketAddress } from 'node:net';

/** Of RFC 8415: messages that a client sends, with what a server says to each; it never hands out more than one address. */
const ANSWERS: Readonly<Record<number, number>> = { 1: 2, 3: 7, 5: 7, 6: 7, 11: 7 };
const OPTION = { clientId: 1, serverId: 2, iaNa: 3, iaAddress: 5, dns: 23 };
const SERVER_MAC = Buffer.from('02005e005353', 'hex');
const SERVER_ADDRESS = addressBytes('fe80::53');
const SERVER_ID = Buffer.concat([Buffer.from('00030001', 'hex'), SERVER_MAC]);
const IPV6 = 0x86_dd;
const UDP = 17;
const SECONDS = 3600;

/** The 16 bytes of an IPv6 address. */
function addressBytes(text: string): Buffer {
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  const [head = '', tail] = address.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const filled = tail === undefined ? [] : Array<string>(8 - groups(head).length - groups(tail).length).fill('0');
  const all = [...groups(head), ...filled, ...groups(tail ?? '')];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function option(code: number, ...parts: Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const header = Buffer.alloc(4);
  header.writeUInt16BE(code, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value]);
}

function seconds(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, at) => bytes.writeUInt32BE(value, 4 * at));
  return bytes;
}

function findOption(options: Buffer, code: number): Buffer | undefined {
  for (let at = 0; at + 4 <= options.length; at += 4 + options.readUInt16BE(at + 2)) {
    if (options.readUInt16BE(at) === code) return options.subarray(at + 4, at + 4 + options.readUInt16BE(at + 2));
  }
  return undefined;
}

/** RFC 1071 over RFC 8200's pseudo-header and the datagram. */
function udpChecksum(source: Buffer, target: Buffer, datagram: Buffer): number {
  const all = Buffer.concat([
    source,
    target,
    seconds(datagram.length, UDP),
    datagram,
    Buffer.alloc(datagram.length % 2),
  ]);
  let sum = 0;
  for (let at = 0; at < all.length; at += 2) sum += all.readUInt16BE(at);
  while (sum > 0xff_ff) sum = (sum & 0xff_ff) + (sum >>> 16);
  return sum === 0xff_ff ? 0xff_ff : ~sum & 0xff_ff;
}

/**
 * A DHCPv6 server as a function on Ethernet frames: the answer to a client's frame, or undefined for all that is none.
 * @param address what every client gets
 */
export function answerDhcp6(frame: Buffer, lease: { address: string; dns: string }): Buffer | undefined {
  if (frame.length < 66 || frame.readUInt16BE(12) !== IPV6 || frame.readUInt8(20) !== UDP) return undefined;
  if (frame.readUInt16BE(56) !== 547) return undefined;
  const client = { mac: frame.subarray(6, 12), address: frame.subarray(22, 38) };
  const message = frame.subarray(62, 54 + frame.readUInt16BE(58));
  const answer = ANSWERS[message.readUInt8(0)];
  const options = message.subarray(4);
  const clientId = findOption(options, OPTION.clientId);
  if (answer === undefined || clientId === undefined) return undefined;
  const association = findOption(options, OPTION.iaNa);
  const payload = Buffer.concat([
    Buffer.from([answer]),
    message.subarray(1, 4),
    option(OPTION.clientId, clientId),
    option(OPTION.serverId, SERVER_ID),
    ...(association === undefined
      ? []
      : [
          option(
            OPTION.iaNa,
            association.subarray(0, 4),
            seconds(SECONDS / 2, SECONDS),
            option(OPTION.iaAddress, addressBytes(lease.address), seconds(SECONDS, SECONDS)),
          ),
        ]),
    option(OPTION.dns, addressBytes(lease.dns)),
  ]);
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(547, 0);
  udp.writeUInt16BE(546, 2);
  udp.writeUInt16BE(8 + payload.length, 4);
  udp.writeUInt16BE(udpChecksum(SERVER_ADDRESS, client.address, Buffer.concat([udp, payload])), 6);
  const ip = Buffer.from('6000000000001101', 'hex');
  ip.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([
    client.mac,
    SERVER_MAC,
    Buffer.from('86dd', 'hex'),
    ip,
    SERVER_ADDRESS,
    client.address,
    udp,
    payload,
  ]);
}
