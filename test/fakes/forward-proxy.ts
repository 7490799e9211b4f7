import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

/** `asked` has what came: `GET URL`, `CONNECT HOST:PORT`. */
export type ForwardProxy = { url: string; asked: string[]; close: () => Promise<void> };

/** A real forward proxy: tunnels, and requests with a whole URL. Wants a password when there is one. */
export async function startForwardProxy(password?: string): Promise<ForwardProxy> {
  const asked: string[] = [];
  const may = (given: string | undefined) =>
    password === undefined || given === `Basic ${Buffer.from(`me:${password}`).toString('base64')}`;
  const proxy = createServer((request, response) => {
    asked.push(`GET ${request.url}`);
    if (!may(request.headers['proxy-authorization'])) {
      response.writeHead(407).end();
      return;
    }
    const { hostname, port } = new URL(request.url ?? '');
    const upstream = connect(Number(port), hostname, () => {
      const lines = Object.entries({ ...request.headers, connection: 'close' }).map(
        ([key, value]) => `${key}: ${String(value)}`,
      );
      upstream.write(`GET ${new URL(request.url ?? '').pathname} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    });
    upstream.pipe(request.socket);
    upstream.on('error', () => undefined);
  });
  proxy.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    if (!may(request.headers['proxy-authorization'])) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      return;
    }
    const [host = '', port = ''] = (request.url ?? '').split(':');
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    for (const end of [upstream, socket]) end.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    asked,
    close: async () => {
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}
