import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { sharedFilesystem } from '../disk/guard.ts';
import { knameOf, withDevice } from '../disk/partitions.ts';
import { type Block, listBlocks, withDescendants } from '../hardware/lsblk.ts';
import type { AgentOs, BlockDevice } from '../os/door.ts';
import { type Mount, parseMountInfo, parseSwaps } from './mounts.ts';

export type Target = Pick<BlockDevice, 'path' | 'sizeBytes' | 'sectorBytes'> & {
  kind: 'block device' | 'file';
  /** For people: maker, serial number. */
  description: string;
  /** Every reason why it must not be written; none when it may. */
  refusals: string[];
  /** What was looked at and found in order. */
  passed: string[];
};

/** What is known of a block device and of everything on it. */
type Facts = {
  block: Block;
  family: readonly Block[];
  mounts: readonly (Mount & { kname: string })[];
  swaps: readonly string[];
  holders: readonly string[];
};

type Guard<F> = { name: string; why: (facts: F) => string | undefined };

const WRITABLE_TYPES = /^(?:disk|loop|mpath|raid\d+|md|lvm|crypt|dm)$/;

const DEVICE_GUARDS: readonly Guard<Facts>[] = [
  {
    name: 'whole disk',
    why: ({ block }) =>
      block.type === 'part'
        ? `it is a partition of /dev/${block.pkname}, and whole-disk images are written`
        : WRITABLE_TYPES.test(block.type)
          ? undefined
          : `it is no disk (${block.type})`,
  },
  { name: 'writable', why: ({ block }) => (block.ro ? 'it is read-only' : undefined) },
  { name: 'not the running system', why: ({ mounts }) => inUse(mounts, (one) => one.mountPoint === '/', 'the root') },
  { name: 'not mounted', why: ({ mounts }) => inUse(mounts, (one) => one.mountPoint !== '/', 'mounted') },
  {
    name: 'no swap',
    why: ({ swaps }) => (swaps.length === 0 ? undefined : `the kernel swaps to ${swaps.join(', ')}`),
  },
  {
    name: 'not held',
    why: ({ holders }) =>
      holders.length === 0 ? undefined : `it is held by ${holders.map((name) => `/dev/${name}`).join(', ')}`,
  },
  {
    name: 'no shared file system',
    why: ({ family }) => {
      const shared = family.find((one) => sharedFilesystem(one) !== undefined);
      return shared && `/dev/${shared.kname} has a shared ${sharedFilesystem(shared)} file system`;
    },
  },
];

function inUse(
  mounts: Facts['mounts'],
  counts: (mount: Mount) => boolean,
  what: 'the root' | 'mounted',
): string | undefined {
  const found = mounts.filter(counts);
  if (found.length === 0) return undefined;
  if (what === 'the root') return `/dev/${found[0]?.kname} is the root of the running system`;
  return found.map(({ kname, mountPoint }) => `/dev/${kname} is mounted at ${mountPoint}`).join(', ');
}

function judge<F>(guards: readonly Guard<F>[], facts: F): Pick<Target, 'refusals' | 'passed'> {
  const verdicts = guards.map(({ name, why }) => ({ name, why: why(facts) }));
  return {
    refusals: verdicts.flatMap(({ why }) => why ?? []),
    passed: verdicts.filter(({ why }) => why === undefined).map(({ name }) => name),
  };
}

/** Mounts of any of the family, by device number and by what was mounted: btrfs has device numbers of its own. */
async function mountsOf(os: Pick<AgentOs, 'files'>, family: readonly Block[]): Promise<Facts['mounts']> {
  const text = await os.files.read('/proc/self/mountinfo');
  if (text === undefined)
    throw new AgentError('ProtectedDeviceError', 'cannot tell what is mounted: there is no /proc');
  const mounts = parseMountInfo(text);
  const found: (Mount & { kname: string })[] = [];
  for (const { kname, mountpoint } of family) {
    const number = (await os.files.read(`/sys/class/block/${kname}/dev`))?.trim();
    for (const mount of mounts) {
      const source = mount.source.startsWith('/dev/') ? await os.files.resolve(mount.source) : undefined;
      if (mount.device === number || source === `/dev/${kname}`) found.push({ ...mount, kname });
    }
    // lsblk knows some that mountinfo does not name: further disks of a btrfs.
    const isNew = !found.some((one) => one.kname === kname) && mountpoint !== null && mountpoint.startsWith('/');
    if (isNew) found.push({ device: number ?? '', mountPoint: mountpoint, source: `/dev/${kname}`, kname });
  }
  return found;
}

async function swapsAmong(os: Pick<AgentOs, 'files'>, paths: readonly string[]): Promise<string[]> {
  const swaps = parseSwaps((await os.files.read('/proc/swaps')) ?? '');
  const resolved = await Promise.all(swaps.map(async (path) => (await os.files.resolve(path)) ?? path));
  return resolved.filter((path) => paths.includes(path));
}

async function holdersOf(os: Pick<AgentOs, 'files'>, family: readonly Block[]): Promise<string[]> {
  const names = family.filter((one, index) => index > 0 && one.type !== 'part').map(({ kname }) => kname);
  for (const { kname } of family) names.push(...(await os.files.list(`/sys/class/block/${kname}/holders`)));
  return [...new Set(names)];
}

async function examineDevice(os: AgentOs, path: string): Promise<Pick<Target, 'description' | 'refusals' | 'passed'>> {
  const blocks = await listBlocks(os);
  const kname = knameOf(path).replaceAll('/', '!');
  const family = withDescendants(blocks, kname);
  const [block] = family;
  if (block === undefined)
    return { description: '', refusals: ['lsblk does not know it, so that nobody can tell what uses it'], passed: [] };
  const facts: Facts = {
    block,
    family,
    mounts: await mountsOf(os, family),
    swaps: await swapsAmong(
      os,
      family.map((one) => `/dev/${one.kname}`),
    ),
    holders: await holdersOf(os, family),
  };
  const words = [block.model?.trim(), block.tran, block.serial && `serial ${block.serial}`];
  return { description: words.filter(Boolean).join(', '), ...judge(DEVICE_GUARDS, facts) };
}

type FileFacts = { swaps: readonly string[]; loops: readonly string[]; sizeBytes: number };
const FILE_GUARDS: readonly Guard<FileFacts>[] = [
  {
    name: 'of some size',
    why: ({ sizeBytes }) =>
      sizeBytes === 0 ? 'it is an empty file; make it as large as the disk is to be (truncate -s 20G FILE)' : undefined,
  },
  { name: 'no swap', why: ({ swaps }) => (swaps.length === 0 ? undefined : 'the kernel swaps to it') },
  {
    name: 'not attached',
    why: ({ loops }) => (loops.length === 0 ? undefined : `it is attached as /dev/${loops.join(', /dev/')}`),
  },
];

async function examineFile(os: AgentOs, path: string, sizeBytes: number): Promise<Pick<Target, 'refusals' | 'passed'>> {
  const loops: string[] = [];
  for (const name of await os.files.list('/sys/block'))
    if ((await os.files.read(`/sys/block/${name}/loop/backing_file`))?.trimEnd() === path) loops.push(name);
  return judge(FILE_GUARDS, { swaps: await swapsAmong(os, [path]), loops, sizeBytes });
}

/**
 * Looks at what an image is to be written to, and finds everything that speaks against it. Changes nothing.
 * @param path as it was said; symbolic links are followed
 * @throws AgentError `DeviceNotFound` when there is no such device or file, `ProtectedDeviceError`, `BlockDeviceError`
 */
export async function examineTarget(os: AgentOs, path: string): Promise<Target> {
  const real = await os.files.resolve(path);
  const kind = real === undefined ? undefined : await os.files.kind(real);
  if (real === undefined || kind === undefined)
    throw new AgentError('DeviceNotFound', `cannot write to ${path}: there is no such device or file`);
  if (kind === 'other')
    throw new AgentError(
      'BlockDeviceError',
      `cannot write to ${path}: it is neither a block device nor a regular file`,
    );
  try {
    return await withDevice(os, real, 'read', async ({ sizeBytes, sectorBytes }) => {
      const found =
        kind === 'file'
          ? { description: '', ...(await examineFile(os, real, sizeBytes)) }
          : await examineDevice(os, real);
      return { path: real, kind, sizeBytes, sectorBytes, ...found };
    });
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('ProtectedDeviceError', `cannot tell what uses ${real}: ${reasonOf(error)}`, { cause: error });
  }
}
