import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';

import { reasonOf } from '../../system/failure.ts';
import type { ConductorOs } from '../os/door.ts';
import type { JsonObject, NodeRecord } from '../store/node.ts';
import { driveFailure } from './failures.ts';

/** What the agent takes at most (agent-protocol I.7). */
const MAX_BYTES = 64 * 1024 * 1024;
const COMPRESSED = /^H4sI/;
const KEYS = ['meta_data', 'user_data', 'network_data', 'vendor_data'];
/** The same options work with all of them: xorriso's mkisofs mode and its two ancestors. */
const ISO_TOOLS = ['xorrisofs', 'genisoimage', 'mkisofs'];

export type ConfigdriveRequest = {
  meta_data?: JsonObject;
  user_data?: unknown;
  network_data?: unknown;
  vendor_data?: unknown;
};

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Checks what stands for `configdrive` in a request: the parts, base64 of the gzipped drive, or a URL.
 * @throws Failure CONFIGDRIVE that names the key
 */
export function checkConfigdrive(value: unknown): JsonObject | string {
  if (typeof value === 'string') {
    if (/^https?:\/\//.test(value) || COMPRESSED.test(value)) return value;
    throw driveFailure('CONFIGDRIVE', 'the text is neither a URL nor base64 of a gzipped image');
  }
  if (!isObject(value)) throw driveFailure('CONFIGDRIVE', 'it is neither an object nor a text');
  const unknown = Object.keys(value).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw driveFailure('CONFIGDRIVE', `${unknown} is none of ${KEYS.join(', ')}`);
  if (value['meta_data'] !== undefined && !isObject(value['meta_data'])) {
    throw driveFailure('CONFIGDRIVE', 'meta_data is no object');
  }
  return value;
}

/** The files of the drive, in the layout of OpenStack's config drive that cloud-init reads (`openstack/latest`). */
export function configdriveFiles(
  node: Pick<NodeRecord, 'uuid' | 'name'>,
  request: ConfigdriveRequest,
): Map<string, string> {
  const meta = request.meta_data ?? {};
  const hostname = meta['hostname'] ?? node.name ?? node.uuid;
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const files = new Map([
    ['openstack/latest/meta_data.json', json({ uuid: node.uuid, name: node.name ?? node.uuid, ...meta, hostname })],
  ]);
  const { user_data, network_data, vendor_data } = request;
  if (user_data !== undefined && user_data !== null) {
    files.set('openstack/latest/user_data', typeof user_data === 'string' ? user_data : json(user_data));
  }
  if (network_data !== undefined && network_data !== null)
    files.set('openstack/latest/network_data.json', json(network_data));
  if (vendor_data !== undefined && vendor_data !== null)
    files.set('openstack/latest/vendor_data2.json', json(vendor_data));
  return files;
}

type Os = Pick<ConductorOs, 'run' | 'withTemporaryDirectory' | 'writeFile' | 'readFile'>;

async function makeIso(os: Os, tree: string, output: string, signal: AbortSignal): Promise<void> {
  for (const tool of ISO_TOOLS) {
    try {
      await os.run(tool, ['-quiet', '-o', output, '-V', 'config-2', '-J', '-r', '-ldots', tree], { signal });
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!reasonOf(error).includes('ENOENT')) throw driveFailure('CONFIGDRIVE', reasonOf(error), { cause: error });
    }
  }
  throw driveFailure('CONFIGDRIVE', `none of ${ISO_TOOLS.join(', ')} is installed`, { hint: 'apt install xorriso' });
}

/**
 * Makes an ISO 9660 image labelled `config-2`.
 * @returns base64 of the gzipped image, as the agent takes it
 * @throws Failure CONFIGDRIVE when it gets larger than 64 MiB or no tool is there
 */
export async function buildConfigdrive(
  os: Os,
  node: Pick<NodeRecord, 'uuid' | 'name'>,
  request: ConfigdriveRequest,
  signal: AbortSignal,
): Promise<string> {
  return os.withTemporaryDirectory(async (folder) => {
    const tree = join(folder, 'tree');
    for (const [path, content] of configdriveFiles(node, request)) {
      await os.writeFile(join(tree, path), Buffer.from(content), 0o644);
    }
    const iso = join(folder, 'config.iso');
    await makeIso(os, tree, iso, signal);
    return packConfigdrive(await os.readFile(iso));
  });
}

/** @param image a whole drive, ISO 9660 or FAT. @returns base64 of it, gzipped */
export async function packConfigdrive(image: Uint8Array): Promise<string> {
  if (image.length > MAX_BYTES) {
    throw driveFailure('CONFIGDRIVE', `it is ${image.length} bytes, and at most ${MAX_BYTES} (64 MiB) fit`);
  }
  return (await promisify(gzip)(image)).toString('base64');
}

/** Refuses a given drive that is damaged or too large before the machine is started. URLs are left to the agent. */
export async function checkPackedConfigdrive(text: string): Promise<void> {
  if (/^https?:\/\//.test(text)) return;
  try {
    await promisify(gunzip)(Buffer.from(text, 'base64'), { maxOutputLength: MAX_BYTES });
  } catch (error) {
    throw driveFailure('CONFIGDRIVE', `the given drive cannot be unpacked: ${reasonOf(error)}`, { cause: error });
  }
}
