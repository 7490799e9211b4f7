import type { ImageInfo } from '../../agent/api/image.ts';
import type { JsonObject, NodeRecord } from '../store/node.ts';
import { maskUrl } from '../store/view.ts';
import { driveFailure } from './failures.ts';

const DISK_FORMATS = ['raw', 'qcow2', 'gpt', 'iso', 'unknown'];
/** Lengths in hexadecimal digits of sha256 and sha512 (agent-protocol I.3); lookups tell the agents to refuse md5. */
const HASH_LENGTHS = [64, 128];

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);

function checksumFields(info: JsonObject): Partial<ImageInfo> {
  const algorithm = text(info['image_os_hash_algo']);
  const value = text(info['image_os_hash_value']);
  if ((algorithm === undefined) !== (value === undefined)) {
    throw driveFailure(
      'DEPLOY_REQUEST',
      'image_os_hash_algo and image_os_hash_value belong together, and one is missing',
    );
  }
  if (algorithm !== undefined && value !== undefined) return { os_hash_algo: algorithm, os_hash_value: value };
  const checksum = text(info['image_checksum']);
  if (checksum === undefined) {
    throw driveFailure('DEPLOY_REQUEST', 'instance_info has no checksum of the image', {
      hint: 'give --checksum ALGORITHM:HEX, as sha256sum or sha512sum print it',
    });
  }
  const isUrl = /^https?:\/\//.test(checksum);
  if (!isUrl && (!HASH_LENGTHS.includes(checksum.length) || !/^[0-9a-f]+$/i.test(checksum))) {
    throw driveFailure('DEPLOY_REQUEST', `image_checksum ${checksum} is neither a sha256, nor a sha512, nor a URL`);
  }
  return { checksum };
}

/**
 * `image_info` of write_image from a node's instance_info (agent-protocol I.1). Also the check of a request: it throws before
 * anything is started.
 * @throws Failure DEPLOY_REQUEST that names the key
 */
export function imageInfo(node: NodeRecord): ImageInfo & JsonObject {
  const info = node.instance_info;
  const source = text(info['image_source']);
  if (source === undefined) throw driveFailure('DEPLOY_REQUEST', 'instance_info has no image_source');
  if (!URL.canParse(source) || !/^https?:$/.test(new URL(source).protocol)) {
    throw driveFailure('DEPLOY_REQUEST', `image_source ${maskUrl(source)} is no http or https URL`, {
      hint: 'put the file into the folder that ingot conductor serves with --http-root',
    });
  }
  const format = text(info['image_disk_format']) ?? 'unknown';
  if (!DISK_FORMATS.includes(format)) {
    throw driveFailure('DEPLOY_REQUEST', `image_disk_format ${format} is none of ${DISK_FORMATS.join(', ')}`);
  }
  if (info['image_type'] === 'partition') {
    throw driveFailure('DEPLOY_REQUEST', 'image_type partition is not supported: only images of a whole disk are');
  }
  return {
    id: decodeURIComponent(new URL(source).pathname.split('/').at(-1) ?? '') || 'image',
    urls: [source],
    disk_format: format,
    container_format: null,
    stream_raw_images: true,
    image_type: 'whole-disk',
    node_uuid: node.uuid,
    ...checksumFields(info),
  };
}
