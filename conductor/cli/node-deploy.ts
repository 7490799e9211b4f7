import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import { usageFailure, type Values } from '../../cli/options.ts';
import { createProgress, progressMode } from '../../cli/progress.ts';
import type { Program } from '../../cli/program.ts';
import { reasonOf } from '../../system/failure.ts';
import { type Client, connect, nodePath } from './client.ts';
import { defineCommand } from '../../cli/command.ts';
import { API_OPTIONS, WAIT_OPTIONS } from './shared-options.ts';
import { cliFailure } from './failures.ts';
import { ALGORITHMS, formatOfFile, hashFile, servedUrl } from './image-file.ts';
import { requestAndWait } from './node-flows.ts';
import { oneNode } from './node-records.ts';

const OPTIONS = {
  image: {
    type: 'string',
    placeholder: 'URL|FILE',
    help: "the image of a whole disk; a FILE must be in the conductor's --http-root",
  },
  checksum: {
    type: 'string',
    placeholder: '[ALGO:]HEX',
    help: 'sha256 or sha512 of the image; computed for a FILE',
  },
  'disk-format': { type: 'string', choices: ['raw', 'qcow2'], help: "the image's format; else by its content or name" },
  hostname: { type: 'string', placeholder: 'NAME', help: "host name in the config drive; else the node's name" },
  'ssh-key': {
    type: 'string',
    placeholder: 'FILE|TEXT',
    multiple: true,
    help: "public key for the image's user; may be given again",
  },
  'user-data': { type: 'string', placeholder: 'FILE', help: 'what cloud-init is to do, as #cloud-config or a script' },
  'network-data': { type: 'string', placeholder: 'FILE', help: 'network_data.json for the config drive' },
  configdrive: { type: 'string', placeholder: 'FILE', help: 'a whole config drive (ISO 9660 or FAT) instead' },
  rebuild: { type: 'boolean', help: 'on a node that is active: write it anew' },
  ...API_OPTIONS,
  ...WAIT_OPTIONS,
} as const;
type DeployValues = Values<typeof OPTIONS>;

async function readOption(option: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw cliFailure('FILE_UNUSABLE', `--${option} ${path}: ${reasonOf(error)}`);
  }
}

/** `sha256:HEX`, or HEX whose length tells the algorithm. */
export function parseChecksum(text: string): { algorithm: string; value: string } {
  const [, algorithm, value = ''] = /^(?:([\w-]+):)?([0-9a-fA-F]+)$/.exec(text) ?? [];
  const byLength = (ALGORITHMS as Record<number, string>)[value.length];
  if (byLength === undefined || (algorithm !== undefined && algorithm.toLowerCase() !== byLength)) {
    throw usageFailure(
      `cannot use --checksum ${text}: it is neither a sha256 nor a sha512`,
      '--checksum sha256:$(sha256sum FILE | cut -c1-64)',
    );
  }
  return { algorithm: byLength, value: value.toLowerCase() };
}

function formatOfUrl(url: string): 'raw' | 'qcow2' {
  const { pathname } = new URL(url);
  if (/\.qcow2$/i.test(pathname)) return 'qcow2';
  if (/\.(raw|img)$/i.test(pathname)) return 'raw';
  throw usageFailure(`cannot tell the format of ${url} by its name`, '--disk-format raw|qcow2');
}

/** What goes into instance_info about the image. */
async function imageFields(program: Program, client: Client, values: DeployValues) {
  const { image } = values;
  if (image === undefined) throw usageFailure('cannot deploy: --image is missing');
  const given = values.checksum === undefined ? undefined : parseChecksum(values.checksum);
  if (/^https?:\/\//i.test(image)) {
    if (given === undefined)
      throw usageFailure(`cannot deploy ${image}: --checksum is missing`, 'it can be computed only for a file');
    if (!URL.canParse(image)) throw usageFailure(`cannot use --image ${image}: it is no URL`);
    return { source: image, format: values['disk-format'] ?? formatOfUrl(image), checksum: given };
  }
  const source = await servedUrl(image, await client.get('/ingot/v1/info'));
  const progress = createProgress(
    progressMode({ json: values.json, isTerminal: program.stderr.isTTY }),
    program.stderr,
  );
  try {
    const checksum = given ?? { algorithm: 'sha256', value: await hashFile(image, 'sha256', progress, program.signal) };
    return { source, format: values['disk-format'] ?? (await formatOfFile(image)), checksum };
  } finally {
    progress.finish();
  }
}

const PUBLIC_KEY = /^(?:ssh-|ecdsa-|sk-)\S+\s+\S+/;

async function publicKeys(values: readonly string[]): Promise<string[]> {
  const lists = await Promise.all(
    values.map(async (value) => {
      const text = PUBLIC_KEY.test(value) ? value : (await readOption('ssh-key', value)).toString('utf8');
      const keys = text
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '' && !line.startsWith('#'));
      if (keys.length === 0 || !keys.every((key) => PUBLIC_KEY.test(key))) {
        throw cliFailure('FILE_UNUSABLE', `--ssh-key ${value}: it is no public key`, { hint: 'give the .pub file' });
      }
      return keys;
    }),
  );
  return lists.flat();
}

/** What to ask for as a config drive; undefined where nothing was given that would go into one. */
async function configdrive(values: DeployValues, name: string | null): Promise<unknown> {
  const parts = ['hostname', 'user-data', 'network-data'] as const;
  const hasParts = parts.some((part) => values[part] !== undefined) || values['ssh-key'].length > 0;
  if (values.configdrive !== undefined) {
    if (hasParts)
      throw usageFailure('cannot use --configdrive together with what would go into one', 'put it into the drive');
    const image = await readOption('configdrive', values.configdrive);
    return (await promisify(gzip)(image)).toString('base64');
  }
  if (!hasParts) return undefined;
  const keys = await publicKeys(values['ssh-key']);
  const network =
    values['network-data'] === undefined ? undefined : await readOption('network-data', values['network-data']);
  return {
    meta_data: {
      ...(name !== null && { name }),
      ...((values.hostname ?? name) !== null && { hostname: values.hostname ?? name }),
      ...(keys.length > 0 && { public_keys: Object.fromEntries(keys.map((key, index) => [`key-${index}`, key])) }),
    },
    ...(values['user-data'] !== undefined && {
      user_data: (await readOption('user-data', values['user-data'])).toString('utf8'),
    }),
    ...(network && { network_data: JSON.parse(network.toString('utf8')) as unknown }),
  };
}

export const deployCommand = defineCommand({
  summary: 'Writes an image onto the disk of an available node and starts it.',
  usage: 'NODE --image URL|FILE [--checksum [ALGO:]HEX] [options]',
  details: [
    'With --hostname, --ssh-key, --user-data or --network-data a config drive is made',
    "that cloud-init in the image reads. The disk is chosen by the node's root device",
    'hints (ingot node create --root-device).',
  ],
  options: OPTIONS,
  run: async (program, values, positionals) => {
    const client = connect(values.api, program.signal);
    const node = await client.node(oneNode(positionals));
    const image = await imageFields(program, client, values);
    const drive = await configdrive(values, node.name);
    const fields = {
      image_source: image.source,
      image_disk_format: image.format,
      image_os_hash_algo: image.checksum.algorithm,
      image_os_hash_value: image.checksum.value,
    };
    const old = node['instance_info'] as Record<string, unknown>;
    const patch = [
      ...Object.entries(fields).map(([key, value]) => ({ op: 'add', path: `/instance_info/${key}`, value })),
      // What an earlier deployment said in the other form must not contradict.
      ...('image_checksum' in old ? [{ op: 'remove', path: '/instance_info/image_checksum' }] : []),
    ];
    await client.send('PATCH', nodePath(node.uuid), patch);
    const more = drive === undefined ? {} : { configdrive: drive };
    return requestAndWait(program, client, node.uuid, values.rebuild ? 'rebuild' : 'active', values, more);
  },
});
