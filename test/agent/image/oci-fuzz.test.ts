import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { parseChallenges } from '../../../agent/image/oci-challenge.ts';
import { findLayer, rankIndex, readManifest } from '../../../agent/image/oci-manifest.ts';
import { parseBlobUrl, parseOciUrl, readDigest } from '../../../agent/image/oci-reference.ts';

const HEX = 'a'.repeat(64);

/** What a function gives, or undefined for a refusal. Any other error is the test's. */
function orRefusal<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof AgentError) return undefined;
    throw error;
  }
}

describe('WWW-Authenticate', () => {
  test.each([
    ['Basic realm="a"', [{ scheme: 'basic', params: { realm: 'a' } }]],
    [
      'bearer realm="https://a/t?x=1",service=s',
      [{ scheme: 'bearer', params: { realm: 'https://a/t?x=1', service: 's' } }],
    ],
    [
      'Negotiate, Basic realm="x, Bearer y"',
      [
        { scheme: 'negotiate', params: {} },
        { scheme: 'basic', params: { realm: 'x, Bearer y' } },
      ],
    ],
    [
      'Bearer realm = "a\\"b" , error="invalid_token", Basic',
      [
        { scheme: 'bearer', params: { realm: 'a"b', error: 'invalid_token' } },
        { scheme: 'basic', params: {} },
      ],
    ],
    ['Bearer realm="a",realm="b"', [{ scheme: 'bearer', params: { realm: 'a' } }]],
    ['', []],
  ])('%s', (header, challenges) => {
    expect(parseChallenges(header).map(({ scheme, params }) => ({ scheme, params: { ...params } }))).toEqual(
      challenges,
    );
  });

  const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,8}$/);
  test('what is written is read', () => {
    const challenge = fc.record({ scheme: name, params: fc.dictionary(name, fc.string(), { minKeys: 1, maxKeys: 4 }) });
    fc.assert(
      fc.property(fc.array(challenge, { maxLength: 4 }), (challenges) => {
        const quote = (value: string) => `"${value.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
        const header = challenges
          .map(
            ({ scheme, params }) =>
              `${scheme} ${Object.entries(params)
                .map(([key, value]) => `${key}=${quote(value)}`)
                .join(', ')}`,
          )
          .join(', ');
        expect(parseChallenges(header).map(({ scheme, params }) => ({ scheme, params: { ...params } }))).toEqual(
          challenges.map(({ scheme, params }) => ({ scheme, params: { ...params } })),
        );
      }),
    );
  });

  test('anything else ends, and gives texts', () => {
    const pieces = fc.array(
      fc.constantFrom('Bearer', 'Basic', ' ', ',', '=', '"', '\\', 'realm', '__proto__', 'é', '\n'),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          pieces.map((list) => list.join('')),
        ),
        (header) => {
          for (const { scheme, params } of parseChallenges(header)) {
            expect(scheme).not.toBe('');
            expect(Object.values(params).every((value) => typeof value === 'string')).toBe(true);
          }
        },
      ),
    );
  });
});

describe('manifests', () => {
  const digest = fc.constantFrom(`sha256:${HEX}`, 'sha256:', 'md5:0', '', `sha512:${HEX}${HEX}`);
  const odd = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant([]), fc.constant({}));
  const mostly = <T>(good: fc.Arbitrary<T>) => fc.oneof({ weight: 12, arbitrary: good }, { weight: 1, arbitrary: odd });
  const descriptor = fc.record(
    {
      digest: mostly(digest),
      mediaType: mostly(fc.constantFrom('application/octet-stream', 'application/vnd.oci.image.layer.v1.tar')),
      platform: mostly(fc.record({ architecture: fc.constantFrom('amd64', 'arm64', '') })),
      annotations: mostly(fc.record({ disktype: fc.constantFrom('raw', 'qemu', '__proto__', 'constructor') })),
    },
    { requiredKeys: [] },
  );
  const manifest = fc.record(
    {
      layers: mostly(fc.array(descriptor, { maxLength: 3 })),
      manifests: mostly(fc.array(descriptor, { maxLength: 3 })),
      config: mostly(fc.constantFrom({}, { mediaType: 'x' })),
      artifactType: mostly(fc.string()),
    },
    { requiredKeys: [] },
  );

  test('are refused, or lead to a digest that is one', () => {
    let found = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          manifest,
          fc.json().map((text) => JSON.parse(text) as unknown),
        ),
        (value) => {
          const read = orRefusal(() => readManifest(Buffer.from(JSON.stringify(value)), 'x'));
          const layer = read?.manifest && findLayer(read.manifest);
          const ranked = read?.index && orRefusal(() => rankIndex(read.index, 'x64', 'x'));
          expect(ranked === undefined || ranked.length > 0).toBe(true);
          if (typeof layer !== 'object') return;
          found++;
          expect(readDigest(`${layer.digest.algorithm}:${layer.digest.hex}`)).toEqual(layer.digest);
          expect([undefined, 'raw', 'qcow2']).toContain(layer.format);
        },
      ),
      { numRuns: 3000 },
    );
    expect(found).toBeGreaterThan(5);
  });

  test('that are no JSON are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(() => readManifest(bytes, 'x')).toThrow(AgentError);
      }),
    );
  });
});

describe('references', () => {
  test.each([
    ['oci://quay.io/podman/machine-os', 'quay.io', 'podman/machine-os', 'latest'],
    ['oci://host:5000/a:b', 'host:5000', 'a', 'b'],
    ['OCI://[fd00::1]:5000/a/b_c/d--e:1.0', '[fd00::1]:5000', 'a/b_c/d--e', '1.0'],
    ['oci://constructor/a', 'constructor', 'a', 'latest'],
    ['oci://docker.io/debian', 'registry-1.docker.io', 'library/debian', 'latest'],
    ['oci://docker.io/me/debian', 'registry-1.docker.io', 'me/debian', 'latest'],
    [`oci://me:s3cr3t@host/a@sha256:${HEX}`, 'host', 'a', `sha256:${HEX}`],
  ])('%s', (text, registry, repository, version) => {
    expect(parseOciUrl(text)).toMatchObject({ registry, repository, version });
  });

  test.each([
    'oci://',
    'oci://host',
    'oci://host/',
    'oci://host/A',
    'oci://host/a/../b',
    'oci://host/a:b:c',
    'oci://host/a@sha256:12',
    'oci://host/a@md5:12',
    'oci://host/a:b c',
    'oci://ho st/a',
    'oci://host/a?b',
  ])('%s is refused', (text) => {
    expect(() => parseOciUrl(text)).toThrow('cannot use the oci:// URL');
  });

  test('whatever is not refused makes a path without surprises, and no refusal repeats a password', () => {
    const part = fc.oneof(
      fc.constantFrom('a', 'host', ':', '@', '/', '..', '%2e', '?', '#', '\\', 'sha256:', HEX, 's3cr3t@'),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const text = `oci://me:s3cr3t@${parts.join('')}`;
        let said = '';
        try {
          const { registry, repository, version } = parseOciUrl(text);
          const url = new URL(`https://${registry}/v2/${repository}/manifests/${version}`);
          expect(url.pathname).toBe(`/v2/${repository}/manifests/${version}`);
        } catch (error) {
          if (!(error instanceof AgentError)) throw error;
          said = error.details;
        }
        expect(said).not.toContain('me:s3cr3t');
      }),
    );
  });

  test('blobs by their plain URL', () => {
    const blob = { repository: 'a/b', digest: { algorithm: 'sha256', hex: HEX } };
    expect(parseBlobUrl(`https://host/v2/a/b/blobs/sha256:${HEX}`)).toEqual(blob);
    expect(parseBlobUrl(`http://host:5000/v2/a/b/blobs/sha256%3A${HEX}?x=1`)).toEqual(blob);
    for (const other of [
      `https://host/a/blobs/sha256:${HEX}`,
      'https://host/v2/a/blobs/sha256:12',
      `file:///v2/a/blobs/sha256:${HEX}`,
      '',
    ])
      expect(parseBlobUrl(other)).toBeUndefined();
  });
});
