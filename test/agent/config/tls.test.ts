import { createServer, type Server } from 'node:https';
import { createServer as createProxy } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { rootCertificates, type TLSSocket } from 'node:tls';

import { afterEach, describe, expect, test } from 'vitest';

import { type AgentConfig, makeConfig } from '../../../agent/config/config.ts';
import { clientTls, readServerCertificate, readTlsFiles } from '../../../agent/config/tls.ts';
import { createHttpClient } from '../../../agent/image/http-request.ts';
import { createCertificate } from '../../../agent/ironic/certificate.ts';
import { createHttp } from '../../../agent/ironic/http.ts';
import { memoryFiles } from '../../fakes/agent-os.ts';

const make = (commonName: string) =>
  createCertificate({ host: '127.0.0.1', commonName, curve: 'p256', times: [Date.now()] });
const SERVER = make('server');
const CLIENT = make('client');
const FILES = memoryFiles({
  '/ca.pem': SERVER.certificate,
  '/client.pem': CLIENT.certificate,
  '/client.key': CLIENT.key,
  '/empty': 'nothing',
});

type Seen = { protocol: string | null; cipher: string; client: string | undefined };
let close: (() => void)[] = [];
afterEach(() => {
  for (const end of close) end();
  close = [];
});

/** An HTTPS server that answers with what it knows of the connection. */
async function serve(options: Parameters<typeof createServer>[0] = {}): Promise<string> {
  const server: Server = createServer(
    { cert: SERVER.certificate, key: SERVER.key, ...options },
    (request, response) => {
      const socket = request.socket as TLSSocket;
      const { subject } = socket.getPeerCertificate() as { subject?: { CN?: string } };
      response.end(
        JSON.stringify({ protocol: socket.getProtocol(), cipher: socket.getCipher().name, client: subject?.CN }),
      );
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  close.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function connectProxy(): Promise<string> {
  const proxy = createProxy();
  proxy.on('connect', (request, socket, head) => {
    const [host = '', port = ''] = (request.url ?? '').split(':');
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.write(head);
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    for (const end of [upstream, socket]) end.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  close.push(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

type Change = Partial<AgentConfig>;
const configOf = (change: Change): AgentConfig => ({ ...makeConfig(new Map()), ...change });
const tlsOf = async (change: Change) => {
  const config = configOf(change);
  return clientTls(config, await readTlsFiles(config, FILES, () => undefined));
};

/** What the client for Ironic's API makes of it. */
async function ask(url: string, change: Change): Promise<Seen> {
  const http = createHttp({ tls: await tlsOf(change), timeoutMs: 5000 });
  return JSON.parse((await http({ method: 'GET', url })).text) as Seen;
}

/** What the client for images makes of it. */
async function download(url: string, change: Change, proxies?: { https: string }): Promise<Seen> {
  const client = createHttpClient(url, {
    timeoutMs: 5000,
    retries: 0,
    retryIntervalMs: 1,
    tls: await tlsOf(change),
    ...(proxies && { proxies }),
  });
  try {
    const { body } = await client.get({}, new AbortController().signal);
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    return JSON.parse(Buffer.concat(chunks).toString()) as Seen;
  } finally {
    await client.close();
  }
}

describe.each([
  ['Ironic', ask],
  ['images', download],
  [
    'images through a proxy',
    async (url: string, change: Change) => download(url, change, { https: await connectProxy() }),
  ],
])('the client for %s', (_name, fetchFrom) => {
  test('trusts nobody but cafile, or everybody when told so', async () => {
    const url = await serve();
    await expect(fetchFrom(url, {})).rejects.toThrow(/self.signed|DEPTH_ZERO_SELF_SIGNED_CERT/);
    await expect(fetchFrom(url, { cafile: '/client.pem' })).rejects.toThrow(/self.signed|SELF_SIGNED/);
    expect(await fetchFrom(url, { cafile: '/ca.pem' })).toMatchObject({ protocol: 'TLSv1.3' });
    expect(await fetchFrom(url, { insecure: true })).toMatchObject({ protocol: 'TLSv1.3' });
  });

  test('shows its certificate to a server that wants one', async () => {
    const url = await serve({ requestCert: true, rejectUnauthorized: true, ca: CLIENT.certificate });
    await expect(fetchFrom(url, { cafile: '/ca.pem' })).rejects.toThrow(
      /certificate required|closed|reset|ECONNRESET|EPIPE|socket/i,
    );
    const seen = await fetchFrom(url, { cafile: '/ca.pem', certfile: '/client.pem', keyfile: '/client.key' });
    expect(seen.client).toBe('client');
  });

  test('keeps to the lowest version and the suites of the configuration', async () => {
    const suite = 'ECDHE-ECDSA-AES128-GCM-SHA256';
    const old = await serve({ maxVersion: 'TLSv1.2', ciphers: suite });
    const trust = { cafile: '/ca.pem' };
    expect(await fetchFrom(old, trust)).toMatchObject({ protocol: 'TLSv1.2', cipher: suite });
    await expect(fetchFrom(old, { ...trust, tlsMinVersion: '1.3' })).rejects.toThrow(/alert|version/i);
    const other = { ...trust, tlsCipherSuites: 'ECDHE-ECDSA-AES256-GCM-SHA384' };
    await expect(fetchFrom(old, other)).rejects.toThrow(/alert|handshake/i);
    // A list for TLS 1.2 must not take TLS 1.3 away.
    expect(await fetchFrom(await serve(), other)).toMatchObject({ protocol: 'TLSv1.3' });
  });
});

describe('files of the configuration', () => {
  const read = async (change: Change) => {
    const notices: string[] = [];
    return { texts: await readTlsFiles(configOf(change), FILES, (text) => notices.push(text)), notices };
  };

  test('that are no PEM, or not there, are named with their option', async () => {
    await expect(read({ cafile: '/absent' })).rejects.toThrow('cannot use cafile=/absent: it cannot be read');
    await expect(read({ cafile: '/empty' })).rejects.toThrow('cannot use cafile=/empty: nothing of the kind is in it');
    await expect(read({ certfile: '/client.pem', keyfile: '/client.pem' })).rejects.toThrow(
      'cannot use keyfile=/client.pem',
    );
  });

  test('authorities that an element put into the ramdisk count beside the built-in ones', async () => {
    const files = memoryFiles({
      '/usr/local/share/ca-certificates/own.crt': SERVER.certificate,
      '/etc/pki/ca-trust/source/anchors/README': 'put them here',
    });
    const { ca } = await readTlsFiles(configOf({}), files, () => undefined);
    expect(ca).toContain(SERVER.certificate.trim());
    expect(ca?.split('BEGIN CERTIFICATE').length).toBe(rootCertificates.length + 2);
    const http = createHttp({ tls: clientTls(configOf({}), { ca: ca ?? '' }), timeoutMs: 5000 });
    expect((await http({ method: 'GET', url: await serve() })).status).toBe(200);
    const only = await readTlsFiles(configOf({ cafile: '/ca.pem' }), FILES, () => undefined);
    expect(only.ca).toBe(SERVER.certificate);
  });

  test('a certificate without its key has no effect, and that is said', async () => {
    expect(await read({ certfile: '/client.pem' })).toEqual({
      texts: {},
      notices: ['certfile has no effect: certfile and keyfile are needed together'],
    });
    expect((await read({ keyfile: '/client.key' })).notices).toHaveLength(1);
  });

  test('listen_tls needs both of its files', async () => {
    await expect(readServerCertificate(configOf({ tlsCertFile: '/ca.pem' }), FILES)).rejects.toThrow(
      'cannot use listen_tls: tls_cert_file and tls_key_file are needed, too',
    );
    expect(
      await readServerCertificate(configOf({ tlsCertFile: '/client.pem', tlsKeyFile: '/client.key' }), FILES),
    ).toEqual(CLIENT);
  });
});
