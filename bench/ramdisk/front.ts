import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';

/** One request of the machine and its answer; times in milliseconds of `performance.now()`. */
export type Exchange = {
  method: string;
  /** With its query. */
  path: string;
  begin: number;
  end: number;
  /** 0 where the connection broke. */
  status: number;
  /** Of the answer's body, as sent. */
  bytes: number;
};

export type Front = {
  /** Those that have ended, in the order of their ends. */
  exchanges: () => readonly Exchange[];
  onExchange: (listener: (exchange: Exchange) => void) => () => void;
  forget: () => void;
  close: () => Promise<void>;
};

/**
 * Stands between the machines and their conductor, passes everything on and notes what went by: the same clock and the same
 * count of bytes for every ramdisk, whatever its agent says of itself.
 */
export async function startFront(port: number, target: number): Promise<Front> {
  const list: Exchange[] = [];
  const listeners = new Set<(exchange: Exchange) => void>();
  const pass = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { method = '', url = '' } = incoming;
    const exchange: Exchange = { method, path: url, begin: performance.now(), end: 0, status: 0, bytes: 0 };
    const onward = request(
      { host: '127.0.0.1', port: target, method, path: url, headers: incoming.headers },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.on('data', (piece: Buffer) => (exchange.bytes += piece.byteLength));
        pipeline(answer, outgoing, (error) => {
          if (!error) exchange.status = answer.statusCode ?? 0;
        });
      },
    );
    onward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => {
      exchange.end = performance.now();
      onward.destroy();
      list.push(exchange);
      for (const listener of listeners) listener(exchange);
    });
    pipeline(incoming, onward, () => undefined);
  };
  const server = createServer(pass);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    exchanges: () => list,
    onExchange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    forget: () => list.splice(0),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
