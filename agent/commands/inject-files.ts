import { posix } from 'node:path';

import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { withMount } from '../disk/mounted.ts';
import { knameOf, listPartitions } from '../disk/partitions.ts';
import type { CommandContext, StepRequest, StepSpec } from '../engine/command-table.ts';
import { fetchSmallFile } from '../image/open.ts';
import type { AgentOs } from '../os/door.ts';
import { partitionPath } from '../raid/plan.ts';
import type { AgentDeps } from './deps.ts';
import { deliveryOptions } from './image-request.ts';
import { fillUrl, type InjectedFile, isUrlContent, readInjectedFiles } from './inject-request.ts';
import { findTarget } from './target.ts';

/** Files are held in memory on their way. */
const MOST_FILE_BYTES = 64 * 1024 ** 2;
const MOUNT_OPTIONS = ['-o', 'nosuid,nodev,noexec'];
/** What has no files: not even tried. */
const NO_FILES = new Set(['LVM2_member', 'linux_raid_member', 'swap', 'crypto_LUKS']);

type Work = { deps: AgentDeps; request: StepRequest; context: CommandContext; verifiesCa: boolean; root: string };

function notFound(why: string): AgentError {
  return new AgentError('DeviceNotFound', `cannot inject files: ${why}`);
}

/** The device that a file's `partition` means. */
async function namedPartition(os: AgentOs, root: string, name: string): Promise<string> {
  if (/^\d+$/.test(name)) return partitionPath(root, Number(name));
  const [, key, value] = /^(LABEL|PARTLABEL|UUID|PARTUUID)=(.+)$/.exec(name) ?? [];
  if (key === undefined) {
    if (name.startsWith('/dev/')) return name;
    throw notFound(`partition ${name} is neither a number, a device, nor LABEL=, PARTLABEL=, UUID= or PARTUUID=`);
  }
  const column = key.toLowerCase() as 'label' | 'partlabel' | 'uuid' | 'partuuid';
  const partitions = await listPartitions(os, root);
  const found = partitions.filter((one) => one[column]?.toLowerCase() === value?.toLowerCase());
  const [only] = found;
  if (only !== undefined && found.length === 1) return `/dev/${only.kname}`;
  throw notFound(`${found.length} partitions of ${root} have ${name}`);
}

/** Follows links of folders that are there; one that leads to the ramdisk's own files, or to another partition, is refused. */
async function folderOf(os: AgentOs, mount: string, path: string, dirmode: number | undefined): Promise<string> {
  const parts = posix.dirname(path).split('/').filter(Boolean);
  let folder = mount;
  for (const [index, part] of parts.entries()) {
    const next = `${folder}/${part}`;
    if (await os.files.exists(next)) {
      const real = await os.files.resolve(next);
      if (real !== mount && !real?.startsWith(`${mount}/`))
        throw new AgentError(
          'CommandExecutionError',
          `cannot write ${path}: /${parts.slice(0, index + 1).join('/')} is a link that leads out of the partition`,
        );
      folder = real;
    } else {
      await os.files.makeDirectory(next);
      const isLeaf = index === parts.length - 1;
      if (isLeaf && dirmode !== undefined) await os.run('chmod', [dirmode.toString(8), next]);
      folder = next;
    }
  }
  return folder;
}

async function contentOf({ deps, request, context, verifiesCa }: Work, { content }: InjectedFile): Promise<Uint8Array> {
  if (content === undefined) return new Uint8Array();
  if (!isUrlContent(content)) return Buffer.from(content, 'base64');
  const url = fillUrl(content, { node: request.node, ports: request.ports });
  const { http } = deliveryOptions(deps);
  const options = verifiesCa ? http : { ...http, tls: { ...http.tls, rejectUnauthorized: false } };
  return fetchSmallFile(url, { http: options, os: deps.os }, MOST_FILE_BYTES, context.signal);
}

/** Mode and owner of a file that is there stay unless something else is said, as when it is written in place. */
async function attributesOf(
  os: AgentOs,
  path: string,
): Promise<{ mode: string; owner: string; group: string } | undefined> {
  if (!(await os.files.exists(path))) return undefined;
  const { stdout } = await os.run('stat', ['-L', '-c', '%a %u %g', path]);
  const [mode = '644', owner = '0', group = '0'] = stdout.trim().split(' ');
  return { mode, owner, group };
}

async function putFile(work: Work, file: InjectedFile, mount: string): Promise<void> {
  const { os } = work.deps;
  if (file.deleted) {
    const real = await os.files.resolve(`${mount}${posix.dirname(file.path)}`);
    if (real === mount || real?.startsWith(`${mount}/`)) await os.files.remove(`${real}/${posix.basename(file.path)}`);
    return;
  }
  // Fetched before anything is changed.
  const bytes = await contentOf(work, file);
  const folder = await folderOf(os, mount, file.path, file.dirmode);
  const path = `${folder}/${posix.basename(file.path)}`;
  const before = await attributesOf(os, path);
  await os.files.write(path, bytes, file.mode ?? Number.parseInt(before?.mode ?? '644', 8));
  const owner = file.owner ?? before?.owner;
  const group = file.group ?? before?.group;
  if (owner !== undefined || group !== undefined) await os.run('chown', [`${owner ?? '0'}:${group ?? '0'}`, path]);
}

async function onPartition(work: Work, file: InjectedFile, device: string): Promise<void> {
  await withMount(work.deps.os, [...MOUNT_OPTIONS, device], `inject-${knameOf(device)}`, (mount) =>
    putFile(work, file, mount),
  );
  work.context.log(`${file.path} on ${device} is ${file.deleted ? 'deleted' : 'written'}`);
}

/** The first partition of the root disk that has the folder at the beginning of the path. */
async function findPartitionFor(work: Work, file: InjectedFile): Promise<string> {
  const { os } = work.deps;
  const [first = ''] = file.path.split('/').filter(Boolean);
  const looked: string[] = [];
  for (const { kname, fstype } of await listPartitions(os, work.root)) {
    const device = `/dev/${kname}`;
    if (fstype === null || NO_FILES.has(fstype)) {
      looked.push(`${device} (${fstype ?? 'no file system'})`);
      continue;
    }
    try {
      const words = ['-o', `ro,${MOUNT_OPTIONS[1]}`, device];
      const has = await withMount(os, words, `inject-${kname}`, async (mount) => {
        const real = await os.files.resolve(`${mount}/${first}`);
        const isInside = real?.startsWith(`${mount}/`) === true;
        return isInside && (await os.run('test', ['-d', real], { okExitCodes: [0, 1] })).exitCode === 0;
      });
      if (has) return device;
      looked.push(device);
    } catch (error) {
      looked.push(`${device} (${reasonOf(error).split('\n')[0]})`);
    }
  }
  throw notFound(`no partition of ${work.root} has the directory /${first}; looked at ${looked.join(', ') || 'none'}`);
}

async function injectFiles(deps: AgentDeps, request: StepRequest, context: CommandContext): Promise<null> {
  const { node, args } = request;
  const verify = args['verify_ca'] ?? true;
  if (typeof verify !== 'boolean')
    throw new AgentError('InvalidCommandParamsError', 'cannot inject files: verify_ca is neither true nor false');
  const files = readInjectedFiles(node.properties?.['inject_files'], args['files']);
  if (files.length === 0) {
    context.log('there are no files to inject');
    return null;
  }
  const { path: root } = await findTarget(deps);
  const work: Work = { deps, request, context, verifiesCa: verify, root };
  for (const [index, file] of files.entries()) {
    context.progress({ phase: 'inject files', done: index, total: files.length, unit: 'files', message: file.path });
    const device =
      file.partition === undefined
        ? await findPartitionFor(work, file)
        : await namedPartition(deps.os, root, file.partition);
    try {
      await onPartition(work, file, device);
    } catch (error) {
      if (error instanceof AgentError) throw error;
      context.signal.throwIfAborted();
      throw new AgentError('CommandExecutionError', `cannot write ${file.path} on ${device}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }
  context.progress({ phase: 'inject files', done: files.length, total: files.length, unit: 'files' });
  return null;
}

export const INJECT_FILES: StepSpec<AgentDeps> = {
  step: 'inject_files',
  interface: 'deploy',
  // The configuration may say another (inject_files_priority).
  priorities: { deploy: 0, service: 0 },
  argsinfo: {
    files: {
      description:
        'Files, each with path, content (base64 or a URL) or deleted, and perhaps partition, mode, dirmode, owner, group; those of the node’s property inject_files come first.',
      required: false,
    },
    verify_ca: { description: 'Whether certificates of servers are verified; true unless said.', required: false },
  },
  run: (deps, request, context) => injectFiles(deps, request, context),
};
