import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';

import { afterEach, describe, expect, test } from 'vitest';

import { isWithoutProxy } from '../../../agent/image/http-proxy.ts';
import type { HttpOptions } from '../../../agent/image/http-request.ts';
import { createCertificate } from '../../../agent/ironic/certificate.ts';
import { type ForwardProxy, startForwardProxy } from '../../fakes/forward-proxy.ts';
import { type ImageServer, type ServerBehaviour, startImageServer } from '../../fakes/image-server.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { download, refusal } from './downloading.ts';

const file = makeGuest(200 * 512, 11);
const SECRET = 's3cr3t';
const BASIC = `Basic ${Buffer.from(`me:${SECRET}`).toString('base64')}`;
let close: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of close) await end();
  close = [];
});

async function serve(
  behave: (index: number) => Partial<ServerBehaviour> = () => ({}),
  tls?: ServerOptions,
): Promise<ImageServer> {
  const server = await startImageServer((index) => ({ content: file, etag: '"one"', ...behave(index) }), tls);
  close.push(server.close);
  return server;
}
const sendOn = (location: string, status = 302) => ({ status, headers: { location } });
const seen = (server: ImageServer, name: string) => server.headers.map((headers) => headers[name]);

describe('redirects', () => {
  test.each([301, 302, 303, 307, 308])('%i is followed', async (status) => {
    const there = await serve();
    const here = await serve(() => sendOn(there.url, status));
    expect((await download(here.url)).equals(file)).toBe(true);
  });

  test('credentials and headers of the user’s never go to another host', async () => {
    const there = await serve();
    const here = await serve(() => sendOn(there.url));
    await download(here.url, { authorization: BASIC, headers: { 'x-auth-token': SECRET } });
    expect(seen(here, 'authorization')).toContain(BASIC);
    expect(seen(here, 'x-auth-token')).toContain(SECRET);
    expect(JSON.stringify(there.headers)).not.toContain(SECRET);
    expect(JSON.stringify(there.headers)).not.toContain(BASIC);
  });

  test('nor does the password of a URL, nor one that the server makes up', async () => {
    const there = await serve();
    const made = there.url.replace('http://', 'http://them:made-up@');
    const here = await serve(() => sendOn(made));
    await download(here.url.replace('http://', `http://me:${SECRET}@`));
    expect(seen(here, 'authorization')).toContain(BASIC);
    expect(seen(there, 'authorization')).toEqual([undefined, undefined]);
  });

  test('on the same host they go along', async () => {
    const here = await serve((index) => (index === 0 ? sendOn('/elsewhere.raw') : {}));
    await download(here.url, { authorization: BASIC });
    expect(seen(here, 'authorization')).toEqual([BASIC, BASIC, BASIC]);
    expect(here.requests.map((line) => line.split(' ')[1])).toEqual([
      '/images/image.raw',
      '/elsewhere.raw',
      '/elsewhere.raw',
    ]);
  });

  test('a loop of them ends', async () => {
    const here = await serve(() => sendOn('/images/image.raw'));
    expect(await refusal(download(here.url))).toContain('more than 10 times');
    expect(here.requests).toHaveLength(11);
  });

  test.each([['file:///etc/passwd'], ['ftp://x/y'], ['http://'], ['']])('to %j are refused', async (location) => {
    expect(await refusal(download((await serve(() => sendOn(location))).url))).toMatch(/nowhere|more than 10 times/);
  });

  test('of a mirror list: the drop is taken up on the mirror that was begun with', async () => {
    const mirrors = [
      await serve((index) => (index === 1 ? { dropAfter: 50_000 } : {})),
      await serve(() => ({ etag: '"of the other mirror"' })),
    ];
    const list = await serve((index) => sendOn(mirrors[index % 2]?.url ?? ''));
    expect((await download(list.url)).equals(file)).toBe(true);
    expect(mirrors.map(({ requests }) => requests.length)).toEqual([3, 0]);
  });

  test('a place that is no longer valid is asked for anew', async () => {
    const there = await serve((index) => [{}, { dropAfter: 50_000 }, { status: 403 }][index] ?? {});
    const here = await serve(() => sendOn(`${there.url}?signature=${SECRET}`));
    expect((await download(here.url)).equals(file)).toBe(true);
    expect(here.requests).toHaveLength(2);
  });
});

test.each([
  ['me:s3cr3t', 'me:s3cr3t'],
  ['m%40e:p%3Aw%25', 'm@e:p:w%'],
  ['me:50%', 'me:50%'],
  ['j%C3%B6:%zz', 'jö:%zz'],
])('user and password of a URL, %s, are %s', async (userinfo, pair) => {
  const server = await serve();
  await download(server.url.replace('://', `://${userinfo}@`));
  expect(seen(server, 'authorization')[0]).toBe(`Basic ${Buffer.from(pair).toString('base64')}`);
});

describe('secrets stay out of what is said', () => {
  const urlWith = (url: string) => `${url.replace('://', `://me:${SECRET}@`)}?temp_url_sig=${SECRET}`;
  const withSecrets: Partial<HttpOptions> = { authorization: BASIC, headers: { 'x-auth-token': SECRET }, retries: 0 };

  test.each<[string, () => Promise<string>]>([
    ['404', async () => (await serve(() => ({ status: 404 }))).url],
    ['a redirect to nowhere', async () => (await serve(() => sendOn(`ftp://me:${SECRET}@x/?${SECRET}`))).url],
    ['a drop', async () => (await serve(() => ({ dropAfter: 10 }))).url],
    ['a server that is not there', async () => 'http://127.0.0.1:1/x'],
    ['a name that is not known', async () => 'http://no-such-host.invalid/x'],
    ['a port with other things', async () => (await serve()).url.replace('http:', 'https:')],
    ['another scheme', async () => 'ftp://server/x'],
    ['no URL', async () => 'http//server/x'],
  ])('%s', async (_, make) => {
    const text = await refusal(download(urlWith(await make()), withSecrets));
    expect(text).toMatch(/^cannot (?:download|fetch) /);
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain(BASIC);
  });

  test('temporary URLs are asked for with their signature, and named without', async () => {
    const server = await serve((index) => (index === 1 ? { status: 401 } : {}));
    const text = await refusal(download(`${server.url}?temp_url_sig=${SECRET}&temp_url_expires=1`));
    expect(server.requests[0]).toContain(`temp_url_sig=${SECRET}`);
    expect(text).toContain('a token may have run out');
    expect(text).not.toContain('sig');
  });
});

async function startProxy(password?: string): Promise<ForwardProxy> {
  const proxy = await startForwardProxy(password);
  close.push(proxy.close);
  return proxy;
}

describe('proxies', () => {
  const TLS = createCertificate({ host: '127.0.0.1', commonName: 'server', curve: 'p256', times: [Date.now()] });
  const trust = { rejectUnauthorized: true, ca: TLS.certificate };

  test('http goes by whole URLs, because proxies refuse tunnels to port 80', async () => {
    const [server, proxy] = [await serve(), await startProxy()];
    expect((await download(server.url, { proxies: { http: proxy.url } })).equals(file)).toBe(true);
    expect(proxy.asked[0]).toBe(`GET ${server.url}`);
  });

  test('https goes through a tunnel', async () => {
    const server = await serve(() => ({}), { cert: TLS.certificate, key: TLS.key });
    const proxy = await startProxy();
    expect((await download(server.url, { proxies: { https: proxy.url }, tls: trust })).equals(file)).toBe(true);
    expect(proxy.asked[0]).toBe(`CONNECT ${new URL(server.url).host}`);
  });

  test('each hop decides anew: the proxy of https is not that of http', async () => {
    const there = await serve(() => ({}), { cert: TLS.certificate, key: TLS.key });
    const here = await serve(() => sendOn(there.url));
    const proxy = await startProxy();
    await download(here.url, { proxies: { https: proxy.url }, tls: trust });
    expect(proxy.asked.every((line) => line.startsWith('CONNECT '))).toBe(true);
  });

  test('no_proxy goes round it', async () => {
    const [server, proxy] = [await serve(), await startProxy()];
    await download(server.url, { proxies: { http: proxy.url }, noProxy: 'localhost,127.0.0.0/8' });
    expect(proxy.asked).toEqual([]);
  });

  test('one with a password gets it, and is alone in seeing it', async () => {
    const [server, proxy] = [await serve(), await startProxy(SECRET)];
    await download(server.url, { proxies: { http: proxy.url.replace('://', `://me:${SECRET}@`) } });
    expect(proxy.asked).toHaveLength(2);
    const tls = await serve(() => ({}), { cert: TLS.certificate, key: TLS.key });
    await download(tls.url, { proxies: { https: proxy.url.replace('://', `://me:${SECRET}@`) }, tls: trust });
    expect(JSON.stringify(tls.headers)).not.toContain(BASIC);
  });

  test.each(['http', 'https'] as const)('407 of the proxy for %s is final, and said', async (scheme) => {
    const server = await serve(() => ({}), scheme === 'https' ? { cert: TLS.certificate, key: TLS.key } : undefined);
    const proxy = await startProxy('other');
    const proxies = { [scheme]: proxy.url.replace('://', `://me:${SECRET}@`) };
    const text = await refusal(download(server.url, { proxies, tls: trust }));
    expect(text).toContain('the proxy answered 407: it wants a user and a password');
    expect(text).not.toContain(SECRET);
    expect(proxy.asked).toHaveLength(1);
  });

  test.each([
    ['http://example.com/', 'example.com', true],
    ['http://images.example.com/', 'example.com', true],
    ['http://images.example.com/', '.example.com', true],
    ['http://images.example.com/', '*.example.com', true],
    ['http://badexample.com/', 'example.com', false],
    ['http://example.com:8080/', 'example.com:8080', true],
    ['http://example.com/', 'example.com:8080', false],
    ['https://example.com/', 'example.com:443', true],
    ['http://10.1.2.3/', '192.168.0.0/16, 10.0.0.0/8', true],
    ['http://11.1.2.3/', '192.168.0.0/16,10.0.0.0/8', false],
    ['http://10.1.2.3/', '10.1.2.3', true],
    ['http://[fd00::7]/', 'fd00::/8', true],
    ['http://[fd00::7]:80/', '[fd00::7]', true],
    ['http://[fe80::7]/', 'fd00::/8', false],
    ['http://anything/', '*', true],
    ['http://anything/', '', false],
    ['http://10.1.2.3/', '10.0.0.0/99', false],
  ])('%s with no_proxy %j: %j', (url, noProxy, isWithout) => {
    expect(isWithoutProxy(new URL(url), noProxy)).toBe(isWithout);
  });
});

describe('TLS failures are said in words, at once', () => {
  const YEAR = 365 * 24 * 3600 * 1000;
  const make = (host: string, time = Date.now()) =>
    createCertificate({ host, commonName: 'server', curve: 'p256', times: [time] });
  const good = make('127.0.0.1');
  const tlsServer = (made: ReturnType<typeof make>, more: ServerOptions = {}) =>
    serve(() => ({}), { cert: made.certificate, key: made.key, ...more });
  const trusting = (made: ReturnType<typeof make>, more: Partial<HttpOptions['tls']> = {}): Partial<HttpOptions> => ({
    tls: { rejectUnauthorized: true, ca: made.certificate, ...more },
  });

  test('an authority that is not known', async () => {
    expect(await refusal(download((await tlsServer(good)).url))).toContain('is not known here; give the authority');
  });

  test('a certificate of last year, and one of next year', async () => {
    const [old, young] = [make('127.0.0.1', Date.now() - YEAR), make('127.0.0.1', Date.now() + YEAR)];
    expect(await refusal(download((await tlsServer(old)).url, trusting(old)))).toContain(
      'it has expired, or the clock',
    );
    expect(await refusal(download((await tlsServer(young)).url, trusting(young)))).toContain(
      'not valid yet, or the clock',
    );
  });

  test('a certificate for another name', async () => {
    const other = make('10.9.8.7');
    const text = await refusal(download((await tlsServer(other)).url, trusting(other)));
    expect(text).toContain('for other names than the one in the URL');
    expect(text).toContain('10.9.8.7');
  });

  test('a port that speaks http', async () => {
    const { url } = await serve();
    expect(await refusal(download(url.replace('http:', 'https:')))).toContain('it does not speak TLS on that port');
  });

  test('a server without TLS 1.3 where 1.3 is the least', async () => {
    const { url } = await tlsServer(good, { maxVersion: 'TLSv1.2' });
    const text = await refusal(download(url, trusting(good, { minVersion: 'TLSv1.3' })));
    expect(text).toContain('no version of TLS in common; allow 1.2 (tls_min_version)');
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'a server that wants a certificate of the client, %s',
    async (maxVersion) => {
      const { url } = await tlsServer(good, { requestCert: true, ca: good.certificate, maxVersion });
      const text = await refusal(download(url, trusting(good)));
      expect(text).toMatch(/certificate of this machine/);
      await download(url, trusting(good, { cert: good.certificate, key: good.key }));
    },
  );

  test('no cipher suite in common', async () => {
    const { url } = await tlsServer(good, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' });
    const text = await refusal(download(url, trusting(good, { ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' })));
    expect(text).toContain('no cipher suite in common');
  });

  test('they are not tried again', async () => {
    let connections = 0;
    const server = createTlsServer({ cert: good.certificate, key: good.key });
    server.on('connection', () => void connections++);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    close.push(async () => void server.close());
    const { port } = server.address() as AddressInfo;
    expect(await refusal(download(`https://127.0.0.1:${port}/x`))).not.toContain('times');
    expect(connections).toBe(1);
  });
});
