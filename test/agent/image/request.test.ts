import { describe, expect, test } from 'vitest';

import { readImageInfo } from '../../../agent/image/request.ts';

const SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const read = (info: Record<string, unknown>) =>
  readImageInfo({ id: 'x', urls: ['http://server/disk.raw'], checksum: SHA256, ...info }, false);
const base64 = (text: string) => Buffer.from(text).toString('base64');

describe('how image_info says who asks', () => {
  const basic = { image_server_auth_strategy: 'http_basic', image_server_user: 'me', image_server_password: 's3cr3t' };

  test('a ready-made header goes before user and password', () => {
    const ready = { image_request_authorization: base64('Bearer abc.def') };
    expect(read({ ...basic, ...ready }).http.authorization).toBe('Bearer abc.def');
    expect(read(basic).http.authorization).toBe(`Basic ${base64('me:s3cr3t')}`);
    expect(read({ ...basic, image_server_auth_strategy: 'noauth' }).http.authorization).toBeUndefined();
  });

  test.each([
    [{ image_request_authorization: '!!' }, 'is no base64'],
    [{ image_request_authorization: base64('Basic a\r\nx-evil: s3cr3t') }, 'is no base64 of an Authorization header'],
    [{ ...basic, image_server_password: null }, 'needs image_server_user and image_server_password'],
    [{ proxies: 'http://me:s3cr3t@proxy' }, 'proxies is not an object'],
    [{ proxies: { http: 7 } }, 'http is not text'],
    [{ proxies: { https: 'ftp://me:s3cr3t@proxy' } }, 'the proxy for https is no URL'],
    [{ proxies: { http: 'http://me:s3cr3t@:99999' } }, 'the proxy for http is no URL'],
    [{ urls: [] }, 'cannot use image_info'],
    [{ urls: 'http://me:s3cr3t@server/' }, 'cannot use image_info'],
  ])('%j is refused, and not repeated', (info, why) => {
    expect(() => read(info)).toThrow(why);
    expect(() => read(info)).not.toThrow('s3cr3t');
  });

  test('proxies and no_proxy', () => {
    const proxies = { http: 'http://p:1/', https: 'http://p:2/' };
    expect(read({ proxies, no_proxy: 'a,b' }).http).toEqual({ proxies, noProxy: 'a,b' });
    expect(read({ proxies: { http: 'p:1', https: 'me:pw@10.0.0.1:2' } }).http.proxies).toEqual({
      http: 'http://p:1/',
      https: 'http://me:pw@10.0.0.1:2/',
    });
    expect(read({ proxies: {}, no_proxy: null }).http).toEqual({ proxies: {} });
  });
});

test('registries bring their own checksum; one that is given is kept', () => {
  const urls = ['oci://host/a', 'oci://host/b:1'];
  expect(readImageInfo({ id: 'x', urls }, false).checksum).toBeUndefined();
  expect(read({ urls }).checksum).toEqual({ algorithm: undefined, value: SHA256 });
  expect(() => readImageInfo({ id: 'x', urls, os_hash_algo: 'sha256' }, false)).toThrow('only make sense together');
});

test('verify says how much is read back; nothing said leaves it to the machine’s configuration', () => {
  expect(read({ verify: 'full' }).verify).toBe('full');
  expect(read({ verify: null }).verify).toBeUndefined();
  expect(read({}).verify).toBeUndefined();
  expect(() => read({ verify: 'some' })).toThrow('verify as "some"');
  expect(() => read({ verify: true })).toThrow('verify is not text');
});
