import { createHash } from 'node:crypto';

import type { BundledPackage } from './packages.ts';
import { uuidOf } from './uuid.ts';
import type { Base } from './bases.ts';
import type { Manifest } from './manifest.ts';

/**
 * A software bill of materials in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/): every package that went in, Node, and the npm
 * packages in the agent. No time and no random number: the same build has the same one.
 */
export type Sbom = {
  $schema: string;
  bomFormat: 'CycloneDX';
  specVersion: '1.6';
  serialNumber: string;
  version: 1;
  metadata: { component: Component; tools: { components: Component[] } };
  components: Component[];
  dependencies: { ref: string; dependsOn: string[] }[];
};

type Hash = { alg: 'SHA-256' | 'SHA-512'; content: string };

type Component = {
  type: 'firmware' | 'library' | 'application';
  'bom-ref': string;
  name: string;
  version: string;
  purl?: string;
  /** Left out where it is in the ramdisk; `excluded` for packages of which nothing is left in it. */
  scope?: 'excluded';
  hashes?: Hash[];
  licenses?: { license: { name: string } }[];
};

/** Package URLs (ECMA-427) by how a distribution packs software. */
const PURL: Record<Base['family'], (one: Manifest['packages'][number], base: Base) => string> = {
  debian: (one, base) =>
    `pkg:deb/${base.distribution}/${one.name}@${encodeURIComponent(one.version)}?arch=${one.architecture}&distro=${base.name}`,
  rpm: (one, base) => {
    const [, epoch, version = ''] = /^(?:(\d+):)?(.*)$/.exec(one.version) ?? [];
    const words = [`arch=${one.architecture}`, `distro=${base.name}`, ...(epoch ? [`epoch=${epoch}`] : [])];
    return `pkg:rpm/${base.distribution}/${one.name}@${encodeURIComponent(version)}?${words.toSorted().join('&')}`;
  },
};

const licensed = (names: readonly string[]): Pick<Component, 'licenses'> =>
  names.length === 0 ? {} : { licenses: names.map((name) => ({ license: { name } })) };

const npmPurl = (name: string, version: string) => `pkg:npm/${name.replace('@', '%40')}@${encodeURIComponent(version)}`;

function npmComponent({ name, version, licence }: BundledPackage): Component {
  const purl = npmPurl(name, version);
  return { type: 'library', 'bom-ref': purl, name, version, purl, ...licensed(licence === undefined ? [] : [licence]) };
}

/** Node where it comes from npm; of a distribution's own Node, the packages are listed anyway. */
function nodeComponents({ node }: Manifest): Component[] {
  if (node.npm === undefined) return [];
  const { name, integrity } = node.npm;
  const purl = npmPurl(name, node.version);
  const content = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex');
  return [
    { type: 'application', 'bom-ref': purl, name, version: node.version, purl, hashes: [{ alg: 'SHA-512', content }] },
  ];
}

export type SbomFacts = {
  manifest: Manifest;
  base: Base;
  bundled: readonly BundledPackage[];
  /** Names of licences by package, where the package says them in a form that can be read. */
  licences: ReadonlyMap<string, readonly string[]>;
};

/** The bill of materials of a finished build. Pure. */
export function makeSbom({ manifest, base, bundled, licences }: SbomFacts): Sbom {
  const packages = manifest.packages.map((one): Component => {
    const purl = PURL[base.family](one, base);
    return {
      type: 'library',
      'bom-ref': purl,
      name: one.name,
      version: one.version,
      purl,
      ...(one.files === 0 && { scope: 'excluded' as const }),
      hashes: [{ alg: 'SHA-256', content: one.sha256 }],
      ...licensed(licences.get(one.name) ?? []),
    };
  });
  const refs = new Map(packages.map((one) => [one.name, one['bom-ref']]));
  const inAgent = bundled.map(npmComponent);
  const node = nodeComponents(manifest);
  const agent: Component = {
    type: 'application',
    'bom-ref': 'ingot-agent',
    name: 'ingot-agent',
    version: manifest.ingot,
  };
  const whole: Component = {
    type: 'firmware',
    'bom-ref': 'ramdisk',
    name: `ingot-ramdisk-${manifest.arch}-${manifest.release}`,
    version: manifest.ingot,
    hashes: [{ alg: 'SHA-256', content: manifest.initramfs.sha256 }],
  };
  const hasAgent = inAgent.length > 0 || node.length > 0;
  const components = [...packages, ...node, ...(hasAgent ? [agent, ...inAgent] : [])];
  const below = new Set([...manifest.packages.flatMap((one) => one.depends), ...inAgent.map((one) => one.name)]);
  const dependencies = [
    { ref: 'ramdisk', dependsOn: components.filter((one) => !below.has(one.name)).map((one) => one['bom-ref']) },
    ...manifest.packages.map((one) => ({
      ref: refs.get(one.name) ?? '',
      dependsOn: [...new Set(one.depends.flatMap((name) => refs.get(name) ?? []))],
    })),
    ...(hasAgent ? [{ ref: 'ingot-agent', dependsOn: [...node, ...inAgent].map((one) => one['bom-ref']) }] : []),
  ];
  const content = {
    metadata: {
      component: whole,
      tools: {
        components: [
          { type: 'application' as const, 'bom-ref': 'build-ramdisk', name: 'build-ramdisk', version: manifest.ingot },
        ],
      },
    },
    components,
    dependencies,
  };
  const digest = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(digest)}`,
    version: 1,
    ...content,
  };
}
