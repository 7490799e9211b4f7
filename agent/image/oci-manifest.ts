import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

import { AgentError } from '../api/errors.ts';
import { readDigest } from './oci-reference.ts';

const annotations = Type.Optional(Type.Union([Type.Record(Type.String(), Type.String()), Type.Null()]));
const artifactType = Type.Optional(Type.Union([Type.String(), Type.Null()]));

/** OCI image-spec 1.1, descriptor.md; only what is read here. */
const DescriptorSchema = Type.Object({
  mediaType: Type.Optional(Type.String()),
  digest: Type.String(),
  size: Type.Optional(Type.Integer({ minimum: 0 })),
  artifactType,
  platform: Type.Optional(Type.Union([Type.Object({ architecture: Type.Optional(Type.String()) }), Type.Null()])),
  annotations,
});
const IndexSchema = Type.Object({ manifests: Type.Array(DescriptorSchema, { minItems: 1 }) });
const ManifestSchema = Type.Object({
  artifactType,
  config: Type.Optional(Type.Object({ mediaType: Type.Optional(Type.String()) })),
  layers: Type.Array(DescriptorSchema),
  annotations,
});
export type Descriptor = Static<typeof DescriptorSchema>;
export type Manifest = Static<typeof ManifestSchema>;

/** What registries are asked for: OCI's and Docker's indexes and manifests. */
export const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

/**
 * Reads what a registry has under a tag or digest.
 * @throws AgentError `ImageDownloadError`
 */
export function readManifest(
  bytes: Uint8Array,
  name: string,
): { index: Descriptor[]; manifest?: undefined } | { index?: undefined; manifest: Manifest } {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    value = undefined;
  }
  if (Value.Check(IndexSchema, value)) return { index: value.manifests };
  if (Value.Check(ManifestSchema, value)) return { manifest: value };
  throw new AgentError('ImageDownloadError', `cannot use ${name}: the registry answered with no index and no manifest`);
}

/** By Node's names. Registries have both spellings of each. */
const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  x64: ['amd64', 'x86_64'],
  arm64: ['arm64', 'aarch64'],
  loong64: ['loong64', 'loongarch64'],
};

/** `disktype`, an annotation of podman's machine images, in the order in which Ironic takes them when the agent downloads. */
const DISK_TYPES: ReadonlyMap<string, { rank: number; format: 'raw' | 'qcow2' }> = new Map([
  ['raw', { rank: 1, format: 'raw' }],
  ['applehv', { rank: 2, format: 'raw' }],
  ['qcow2', { rank: 3, format: 'qcow2' }],
  ['qemu', { rank: 4, format: 'qcow2' }],
]);
const UNSAID_RANK = 100;

function diskType(of: { annotations?: Record<string, string> | null }): string | undefined {
  return of.annotations?.['disktype'] || undefined;
}

/**
 * The entries of an index that may be a disk for this machine, best first (Ironic: `OciImageService._filter_manifests`).
 * @param architecture Node's name
 * @throws AgentError `ImageDownloadError` that says what there is instead
 */
export function rankIndex(index: readonly Descriptor[], architecture: string, name: string): Descriptor[] {
  const names = ARCHITECTURES[architecture] ?? [architecture];
  const ofOthers = new Set<string>();
  const ranked = index.flatMap((entry) => {
    const { architecture: its } = entry.platform ?? {};
    const kind = diskType(entry);
    if (its && !names.includes(its)) {
      ofOthers.add(its);
      return [];
    }
    if (kind === undefined) return [{ entry, rank: UNSAID_RANK }];
    const known = DISK_TYPES.get(kind);
    return known ? [{ entry, rank: known.rank }] : [];
  });
  if (ranked.length === 0)
    throw new AgentError(
      'ImageDownloadError',
      `cannot use ${name}: it has no disk image for ${names.join('/')}${ofOthers.size > 0 ? `, but for ${[...ofOthers].slice(0, 10).join(', ')}` : ''}`,
    );
  return ranked.toSorted((a, b) => a.rank - b.rank).map(({ entry }) => entry);
}

const EMPTY_CONFIG = 'application/vnd.oci.empty.v1+json';
const CONTAINER_LAYER = /image\.layer\.|image\.rootfs\./;

export type Layer = { digest: NonNullable<ReturnType<typeof readDigest>>; format: 'raw' | 'qcow2' | undefined };

/**
 * The one layer of an artifact, which is the disk image.
 * @param entry what the index says of the manifest
 * @returns the reason where it is no disk image
 */
export function findLayer(manifest: Manifest, entry?: Descriptor): Layer | string {
  const [layer, ...more] = manifest.layers;
  const kind = (entry && diskType(entry)) ?? diskType(manifest);
  const isArtifact = Boolean(manifest.artifactType) || manifest.config?.mediaType === EMPTY_CONFIG;
  const isContainer = kind === undefined && !isArtifact && CONTAINER_LAYER.test(layer?.mediaType ?? '');
  if (isContainer) return 'it is a container (perhaps a bootable one, for bootc), not a disk image';
  if (!layer || more.length > 0) return `it has ${manifest.layers.length} layers, and a disk image has one`;
  const digest = readDigest(layer.digest);
  return digest
    ? { digest, format: DISK_TYPES.get(kind ?? '')?.format }
    : `its layer has no digest of SHA-256 or SHA-512`;
}
