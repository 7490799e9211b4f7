import { createSocket } from 'node:dgram';

const EPOCH = 2_208_988_800;

export type TimeAnswerParts = {
  /** Milliseconds since 1970, by the server's clock. */
  arrived: number;
  left: number;
  leap?: number;
  mode?: number;
  stratum?: number;
  /** Four letters of a refusal. */
  code?: string;
};

function writeTime(packet: Buffer, milliseconds: number, offset: number): void {
  const seconds = Math.floor(milliseconds / 1000);
  packet.writeUInt32BE((seconds + EPOCH) % 2 ** 32, offset);
  packet.writeUInt32BE(Math.floor(((milliseconds - seconds * 1000) / 1000) * 2 ** 32), offset + 4);
}

/** What a server of RFC 5905 answers to a question. */
export function timeAnswer(question: Uint8Array, parts: TimeAnswerParts): Uint8Array {
  const packet = Buffer.alloc(48);
  packet[0] = ((parts.leap ?? 0) << 6) | (4 << 3) | (parts.mode ?? 4);
  packet[1] = parts.stratum ?? 2;
  packet.write(parts.code ?? '', 12, 'latin1');
  packet.set(question.subarray(40, 48), 24);
  writeTime(packet, parts.arrived, 32);
  writeTime(packet, parts.left, 40);
  return packet;
}

/** A UDP server on loopback that answers each message with what `answer` makes of it; undefined is silence. */
export async function startUdpServer(
  answer: (message: Uint8Array) => Uint8Array | undefined,
): Promise<{ port: number; close: () => void }> {
  const socket = createSocket('udp4');
  socket.on('message', (message, { port, address }) => {
    const bytes = answer(message);
    if (bytes !== undefined) socket.send(bytes, port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return { port: socket.address().port, close: () => socket.close() };
}
