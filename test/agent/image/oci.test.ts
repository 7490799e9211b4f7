import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { openImage } from '../../../agent/image/open.ts';
import { readImageInfo } from '../../../agent/image/request.ts';
import type { HttpOptions } from '../../../agent/image/http-request.ts';
import { createCertificate } from '../../../agent/ironic/certificate.ts';
import { fakeClock } from '../../fakes/clock.ts';
import { fakeOs } from '../../fakes/agent-os.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { digestOf, type FakeRegistry, type RegistryBehaviour, startRegistry } from '../../fakes/oci-registry.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { deliver } from './delivery.ts';
import { OPTIONS, refusal } from './downloading.ts';

const MIB = 1024 ** 2;
const disk1 = makeGuest(300 * 512, 1);
const disk2 = makeGuest(300 * 512, 2);
const TLS = createCertificate({ host: '127.0.0.1', commonName: 'registry', curve: 'p256', times: [Date.now()] });
const SECRET = 'me:s3cr3t';
const BASIC = `Basic ${Buffer.from(SECRET).toString('base64')}`;
const EMPTY = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf(Buffer.from('{}')), size: 2 };
const CONTAINER = 'application/vnd.oci.image.layer.v1.tar+gzip';

let registry: FakeRegistry;
let behaviour: RegistryBehaviour;
let close: (() => Promise<void>)[];
beforeEach(async () => {
  behaviour = {};
  registry = await startRegistry(() => behaviour, { cert: TLS.certificate, key: TLS.key });
  close = [registry.close];
});
afterEach(async () => {
  for (const end of close) await end();
});

/** As `oras push` makes it. */
function artifact(content: Buffer, more: Record<string, unknown> = {}) {
  const layer = { mediaType: 'application/octet-stream', digest: registry.addBlob(content), size: content.length };
  return {
    schemaVersion: 2,
    artifactType: 'application/vnd.unknown.artifact.v1',
    config: EMPTY,
    layers: [layer],
    ...more,
  };
}
function entry(digest: string, disktype: string | undefined, architecture?: string) {
  return {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest,
    size: 1,
    ...(architecture !== undefined && { platform: { architecture, os: 'linux' } }),
    ...(disktype !== undefined && { annotations: { disktype } }),
  };
}

async function open(version: string, options: Partial<HttpOptions> = {}, architecture = 'x64') {
  const { signal } = new AbortController();
  const http = { ...OPTIONS, tls: { rejectUnauthorized: true, ca: TLS.certificate }, ...options };
  const os = fakeOs({ clock: fakeClock() });
  const source = await openImage(`oci://${registry.host}/lab/disk${version}`, { http, os, architecture }, signal);
  const parts: Uint8Array[] = [];
  for await (const bytes of source.stream(signal)) parts.push(Buffer.from(bytes));
  await source.close();
  return { ...source, content: Buffer.concat(parts) };
}

describe('which layer of a registry is the disk image', () => {
  test('that of an artifact by tag; latest without one; its digest is the checksum', async () => {
    registry.addManifest(artifact(disk1), 'latest');
    registry.addManifest(artifact(disk2, { annotations: { disktype: 'qcow2' } }), 'v2');
    const latest = await open('');
    expect(latest.content.equals(disk1)).toBe(true);
    expect(latest.checksum).toEqual({ algorithm: 'sha256', hex: digestOf(disk1).slice(7) });
    expect(await open(':v2')).toMatchObject({ format: 'qcow2', checksum: { hex: digestOf(disk2).slice(7) } });
  });

  test.each(['sha256', 'sha512'])('that of a manifest by its digest of %s, with any tag', async (algorithm) => {
    const manifest = artifact(disk1);
    registry.addManifest(manifest);
    const digest = digestOf(Buffer.from(JSON.stringify(manifest)), algorithm);
    expect((await open(`@${digest}`)).content.equals(disk1)).toBe(true);
    expect((await open(`:@${digest}`)).content.equals(disk1)).toBe(true);
    expect((await open(`:some-tag@${digest}`)).content.equals(disk1)).toBe(true);
  });

  test.each([
    ['x64', ['amd64', 'arm64']],
    ['x64', ['x86_64', 'aarch64']],
    ['arm64', ['arm64', 'amd64']],
    ['arm64', ['aarch64', 'x86_64']],
    ['loong64', ['loong64', 'amd64']],
    ['loong64', ['loongarch64', 'amd64']],
  ])('of an index, that for this architecture: %s of %j', async (architecture, [mine, other]) => {
    const [first, second] = [registry.addManifest(artifact(disk2)), registry.addManifest(artifact(disk1))];
    const manifests = [entry(first, 'raw', other), entry(second, 'raw', mine)];
    registry.addManifest({ schemaVersion: 2, manifests }, 'many');
    expect((await open(':many', {}, architecture)).content.equals(disk1)).toBe(true);
  });

  test.each([
    [['qcow2', 'raw'], 1],
    [['qemu', 'applehv'], 1],
    [['qemu', 'qcow2'], 1],
    [['raw', 'applehv'], 0],
    [[undefined, 'qemu'], 1],
    [['hyperv', undefined], 1],
  ])('of an index with %j, number %i, in Ironic’s order', async (kinds, best) => {
    const digests = [disk1, disk2].map((content) => registry.addManifest(artifact(content)));
    registry.addManifest({ manifests: digests.map((digest, index) => entry(digest, kinds[index], 'amd64')) }, 'many');
    expect((await open(':many')).content.equals(best === 0 ? disk1 : disk2)).toBe(true);
  });

  test('containers in an index are passed over', async () => {
    const container = {
      config: { mediaType: 'application/vnd.oci.image.config.v1+json' },
      layers: [{ mediaType: CONTAINER, digest: digestOf(disk2) }],
    };
    const digests = [registry.addManifest(container), registry.addManifest(artifact(disk1))];
    registry.addManifest({ manifests: digests.map((digest) => entry(digest, undefined, 'amd64')) }, 'many');
    expect((await open(':many')).content.equals(disk1)).toBe(true);
  });

  test('what is none is refused by name', async () => {
    const layers = [{ mediaType: CONTAINER, digest: digestOf(disk1) }];
    registry.addManifest({ config: {}, layers }, 'container');
    registry.addManifest(artifact(disk1, { layers: [] }), 'none');
    registry.addManifest(artifact(disk1, { layers: [layers[0], layers[0]] }), 'two');
    registry.addManifest(artifact(disk1, { layers: [{ digest: 'md5:0' }] }), 'odd');
    registry.addManifest({ hello: 'there' }, 'nothing');
    registry.addManifest({ manifests: [entry(digestOf(disk1), 'raw', 's390x')] }, 'mainframe');
    expect(await refusal(open(':container'))).toContain('it is a container (perhaps a bootable one');
    expect(await refusal(open(':none'))).toContain('it has 0 layers');
    expect(await refusal(open(':two'))).toContain('it has 2 layers');
    expect(await refusal(open(':odd'))).toContain('no digest of SHA-256 or SHA-512');
    expect(await refusal(open(':nothing'))).toContain('no index and no manifest');
    expect(await refusal(open(':mainframe'))).toContain('no disk image for amd64/x86_64, but for s390x');
    expect(await refusal(open(':missing'))).toContain('it answered 404');
  });

  test('a registry that has other things under a digest is found out', async () => {
    const digest = registry.addManifest(artifact(disk1));
    registry.addManifest(artifact(disk2), digest);
    expect(await refusal(open(`@${digest}`))).toContain('its manifest is not that of');
  });
});

describe('logging in', () => {
  beforeEach(() => void registry.addManifest(artifact(disk1), 'latest'));

  test('for nobody, with a token', async () => {
    behaviour = { login: 'token' };
    expect((await open('')).content.equals(disk1)).toBe(true);
    expect(registry.requests[1]).toBe(
      'GET /token?service=fake%2C+with+a+comma&scope=repository%3Alab%2Fdisk%3Apull nobody',
    );
  });

  test('with user and password, for a token; the registry itself never sees them where a URL has them', async () => {
    behaviour = { login: 'token', password: SECRET };
    expect((await open('', { authorization: BASIC })).content.equals(disk1)).toBe(true);
    expect(registry.requests.filter((line) => line.startsWith('GET /token'))).toHaveLength(2);
    expect(await refusal(open(''))).toContain('logging in failed');
  });

  test('with user and password, basic', async () => {
    behaviour = { login: 'basic', password: SECRET };
    expect((await open('', { authorization: BASIC })).content.equals(disk1)).toBe(true);
    expect(await refusal(open(''))).toContain('it answered 401');
    expect(await refusal(open('', { authorization: 'Basic b3RoZXI=' }))).toContain('it answered 401');
  });

  test('a token that runs out in the middle is had anew', async () => {
    behaviour = { login: 'token', tokenUses: 1 };
    expect((await open('')).content.equals(disk1)).toBe(true);
    expect(registry.requests.filter((line) => line.startsWith('GET /token')).length).toBeGreaterThan(2);
  });

  test('a token that Ironic sent and that has run out is replaced by one for nobody', async () => {
    behaviour = { login: 'token' };
    expect((await open('', { authorization: 'Bearer of-last-hour' })).content.equals(disk1)).toBe(true);
  });

  test('neither password nor token goes to where blobs are', async () => {
    const seen: (string | undefined)[] = [];
    const store = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.end(disk1);
    });
    await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve));
    close.push(async () => {
      store.closeAllConnections();
      store.close();
    });
    const blobsAt = `http://127.0.0.1:${(store.address() as AddressInfo).port}`;
    behaviour = { login: 'token', password: SECRET, blobsAt };
    expect((await open('', { authorization: BASIC })).content.equals(disk1)).toBe(true);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.every((header) => header === undefined)).toBe(true);
  });

  test.each([
    ['Bearer realm="http://token.example/"'],
    ['Bearer realm="file:///etc/passwd"'],
    ['Bearer'],
    ['Bearer realm="'],
  ])('the challenge %j is not followed', async (challenge) => {
    behaviour = { login: 'token', challenge };
    const text = await refusal(open('', { authorization: BASIC, retries: 0 }));
    expect(text).toMatch(/makes no sense, or has no TLS/);
    expect(text).not.toContain(BASIC);
  });

  test.each([['Negotiate'], [',,=,'], ['Digest realm="x", nonce="y"']])('%j is no way to log in', async (challenge) => {
    behaviour = { login: 'token', challenge };
    expect(await refusal(open('', { authorization: BASIC }))).toContain('it answered 401');
  });

  test('a registry without TLS is asked where TLS is not insisted on', async () => {
    const plain = await startRegistry(() => ({ login: 'token' }));
    close.push(plain.close);
    const layer = { digest: plain.addBlob(disk2) };
    plain.addManifest({ artifactType: 'x', layers: [layer] }, 'latest');
    registry = plain;
    expect(await refusal(open(''))).toContain('it does not speak TLS on that port');
    expect((await open('', { tls: { rejectUnauthorized: false } })).content.equals(disk2)).toBe(true);
  });
});

describe('image_info', () => {
  let disk: DiskFile;
  beforeEach(async () => {
    disk = await makeDiskFile(4 * MIB);
    close.push(disk.close);
  });
  const image = makeGuest(3 * MIB, 5);
  const isWritten = async () => (await disk.content()).subarray(0, image.length).equals(image);
  const tls = { rejectUnauthorized: true, ca: TLS.certificate };

  test('with an oci:// URL needs no checksum, and is verified by the digest', async () => {
    registry.addManifest(artifact(image), 'latest');
    const written = await deliver(`oci://${registry.host}/lab/disk`, disk.device, {}, { tls });
    expect(written).toMatchObject({ isVerified: true, checksum: { hex: digestOf(image).slice(7) } });
    expect(await isWritten()).toBe(true);
  });

  test('as Ironic makes it of oci:// URLs: a blob’s address, its checksum, and a token that may have run out', async () => {
    behaviour = { login: 'token' };
    const digest = registry.addBlob(image);
    const info = {
      id: `disk@${digest}`,
      disk_format: 'unknown',
      checksum: digest.slice(7),
      image_request_authorization: Buffer.from('Bearer of-last-hour').toString('base64'),
    };
    await deliver(`https://${registry.host}/v2/lab/disk/blobs/${digest}`, disk.device, info, { tls });
    expect(await isWritten()).toBe(true);
    expect(registry.requests[0]).toContain('Bearer of-last-hour');
  });

  test('a checksum that is not the digest is refused before anything is written', async () => {
    registry.addManifest(artifact(image), 'latest');
    const work = deliver(`oci://${registry.host}/lab/disk`, disk.device, { checksum: '0'.repeat(64) }, { tls });
    expect(await refusal(work)).toMatch(/its digest is sha256:.* was asked for.*not touched/);
    expect((await disk.content()).equals(disk.before)).toBe(true);
  });

  test('a checksum by another algorithm counts', async () => {
    registry.addManifest(artifact(image), 'latest');
    const sha512 = createHash('sha512').update(image).digest('hex');
    await deliver(`oci://${registry.host}/lab/disk`, disk.device, { checksum: sha512 }, { tls });
    expect(await isWritten()).toBe(true);
  });

  test('a blob with other bytes than its digest is found out, and the disk does not boot', async () => {
    registry.addManifest(artifact(image), 'latest');
    registry.addBlob(makeGuest(3 * MIB, 6), digestOf(image));
    const text = await refusal(deliver(`oci://${registry.host}/lab/disk`, disk.device, {}, { tls }));
    expect(text).toContain(`its sha256 should be ${digestOf(image).slice(7)}`);
    expect((await disk.content()).subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true);
  });

  test('an oci:// URL beside one of another kind needs a checksum', () => {
    const urls = ['oci://registry/lab/disk', 'http://server/disk.raw'];
    expect(() => readImageInfo({ id: 'x', urls }, false)).toThrow('has neither');
  });
});
