import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';

import type { Datagram, Exchange } from './door.ts';

type Target = { address: string; family: number; port: number; from: string | undefined };

async function resolve({ host, port, from }: Datagram['to'][number]): Promise<Target[]> {
  const found = await lookup(host, { all: true });
  return found.map(({ address, family }) => ({ address, family, port, from }));
}

/** Sends to one address from a socket of its own, which is closed by the caller. */
function send(
  { address, family, port, from }: Target,
  message: Uint8Array,
  events: { message: (bytes: Uint8Array) => void; failed: (error: Error) => void },
): Socket {
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
  socket.on('message', events.message);
  socket.on('error', events.failed);
  socket.bind(from === undefined ? {} : { address: from }, () => {
    try {
      const zone = address.split('%')[1];
      if (from !== undefined && family === 4) socket.setMulticastInterface(from);
      if (zone !== undefined) socket.setMulticastInterface(`::%${zone}`);
      socket.send(message, port, address, (error) => error && events.failed(error));
    } catch (error) {
      events.failed(error as Error);
    }
  });
  return socket;
}

export const systemExchange: Exchange = async ({ message, to, timeoutMs }, accept, signal) => {
  signal?.throwIfAborted();
  const targets = (await Promise.all(to.map(resolve))).flat();
  if (targets.length === 0) return undefined;
  const sockets: Socket[] = [];
  const { promise, resolve: end, reject } = Promise.withResolvers<unknown>();
  const stop = (): void => reject(signal?.reason as Error);
  const timer = setTimeout(() => end(undefined), timeoutMs);
  signal?.addEventListener('abort', stop, { once: true });
  let left = targets.length;
  for (const target of targets) {
    let hasFailed = false;
    const failed = (error: Error): void => {
      if (hasFailed) return;
      hasFailed = true;
      left -= 1;
      if (left === 0) reject(error); // as long as one of them is out, an answer may come
    };
    const received = (bytes: Uint8Array): void => {
      const value = accept(bytes);
      if (value !== undefined) end(value);
    };
    sockets.push(send(target, message, { message: received, failed }));
  }
  try {
    return (await promise) as ReturnType<typeof accept>;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
    for (const socket of sockets) socket.close();
  }
};
