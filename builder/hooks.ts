import type { Entry } from './archive/entry.ts';
import type { Context } from './context.ts';
import { hostSettings } from './debian/apt.ts';
import { mergedPath } from './debian/paths.ts';
import { listsDigest, resolvePackages } from './debian/resolve.ts';
import type { DibRecord } from './dib/record.ts';
import { checkHookBase, ROOT_PACKAGES } from './dib/root.ts';
import { type DibRun, isRunBefore, runDibElements } from './dib/run.ts';
import { mergeAccounts } from './tree/accounts.ts';
import { entryBytes } from './tree/bytes.ts';
import { anyMatcher } from './tree/glob.ts';
import { fileEntry, type Part } from './tree/tree.ts';

/** Who brings what hooks left, in manifests and in `explain`. */
export const HOOKS = 'hooks';

/** What hooks left, as parts of the ramdisk. */
export type HookTree = { parts: Part[]; entries: ReadonlyMap<string, Entry>; record: DibRecord };

/** Packages that are in the tree for the hooks' sake: the ramdisk starts nothing of them. */
const FOR_HOOKS_ONLY = ['apt', 'libapt-pkg7.0', 'systemd', 'debian-archive-keyring', 'sqv'];

/** What of the tree is no business of a ramdisk: kernels are chosen by Ingot, and records of the installation are in the manifest. */
const LEFT_OUT = [
  'boot/**',
  'usr/lib/modules/**',
  'var/lib/dpkg/**',
  'var/lib/apt/**',
  'var/cache/**',
  'var/lib/systemd/**',
  'etc/apt/**',
  'usr/lib/udev/hwdb.bin',
];

/** Programs whose arguments Ingot's inittab knows: those of the tree do not take their places. */
const OF_INIT = [
  'init',
  'usr/sbin/init',
  'usr/sbin/getty',
  'usr/sbin/halt',
  'usr/sbin/poweroff',
  'usr/sbin/reboot',
  'usr/sbin/udhcpc',
];

async function dibRun(context: Context): Promise<DibRun | undefined> {
  const { options, row, release, mirror, foreign } = context;
  if (foreign === undefined) return undefined;
  checkHookBase(release.family, release.title);
  const { host, progress, signal, trace = false, allowNetwork = false, env = {} } = options;
  const question = { mirror, release: release.name, architecture: row.debian };
  const components = 'main non-free-firmware';
  const sources = [
    `deb ${mirror.main} ${release.name} ${components}`,
    `deb ${mirror.main} ${release.name}-updates ${components}`,
    ...(mirror.security === undefined ? [] : [`deb ${mirror.security} ${release.name}-security ${components}`]),
  ];
  progress.update({ phase: 'resolve packages', message: 'the tree that hooks run in' });
  const root = await resolvePackages(host, { ...question, packages: ROOT_PACKAGES }, signal);
  const settings = await hostSettings(host, signal);
  return {
    host,
    recipe: foreign,
    row,
    base: {
      distribution: release.distribution,
      release: release.name,
      family: release.family,
      mirror: mirror.main,
      sources,
      aptSettings:
        release.acceptExpired === undefined ? settings : [...settings, 'Acquire::Check-Valid-Until "false";'],
    },
    env,
    rootPackages: root.map((one) => one.sha256),
    lists: await listsDigest(host, question),
    trace,
    allowNetwork,
    progress,
    signal,
  };
}

/** Whether a build would have to run hooks; undefined when it has none. */
export async function hooksAreCached(context: Context): Promise<boolean | undefined> {
  const run = await dibRun(context);
  return run && isRunBefore(run);
}

/** Which package each file belongs to, by the lists that dpkg keeps in the tree. */
async function packageFiles(entries: readonly Entry[]): Promise<ReadonlyMap<string, string>> {
  const owners = new Map<string, string>();
  for (const entry of entries) {
    const name = /^var\/lib\/dpkg\/info\/([^/:]+)(?::[^/]+)?\.list$/.exec(entry.path)?.[1];
    if (name === undefined || entry.type !== 'file') continue;
    for (const line of Buffer.from(await entryBytes(entry))
      .toString('utf8')
      .split('\n'))
      if (line.startsWith('/') && line !== '/.') owners.set(mergedPath(line), name);
  }
  return owners;
}

/** Packages that somebody asked for stay, whatever they are. */
function isForHooksOnly(context: Context, record: DibRecord): (name: string | undefined) => boolean {
  const asked = new Set([...context.plan.packages.map((one) => one.name), ...record.requested]);
  return (name) => name !== undefined && FOR_HOOKS_ONLY.includes(name) && !asked.has(name);
}

/**
 * Runs the hooks of elements of diskimage-builder, or finds in the cache what they left before.
 * @returns undefined when the build has none
 */
export async function hookTree(context: Context): Promise<HookTree | undefined> {
  const run = await dibRun(context);
  if (run === undefined) return undefined;
  const { entries, record, cached } = await runDibElements(run);
  if (cached) run.progress.log('no hook had to run: the cache has what the same elements left before');
  if (record.network.length > 0)
    run.progress.log(
      `warning: these hooks fetch things, so that the same inputs need not give the same bytes: ${record.network.map((one) => `${one.hook} of ${one.element}`).join(', ')}`,
    );
  const owners = await packageFiles(entries);
  const isLeftOut = anyMatcher(LEFT_OUT);
  const isDropped = isForHooksOnly(context, record);
  const kept = entries.filter(({ path }) => !isLeftOut(path) && !isDropped(owners.get(path)));
  // A hard link goes where its file goes.
  const ownerOf = (entry: Entry) => owners.get(entry.type === 'hardlink' ? entry.target : entry.path);
  const parts = [...Map.groupBy(kept, ownerOf)].map(([name, entries]): Part => ({
    owner:
      name === undefined
        ? { element: HOOKS, source: 'hooks', layer: 'elements' }
        : { element: HOOKS, source: name, layer: 'userland' },
    entries,
    overrides: false,
  }));
  // A folder that hooks made stays even if nothing is in it.
  const folders = kept.filter((one) => one.type === 'directory' && !owners.has(one.path));
  const owner = { element: HOOKS, source: 'hooks', layer: 'elements' as const };
  parts.push({ owner, entries: folders, overrides: true });
  return { parts, entries: new Map(kept.map((entry) => [entry.path, entry])), record };
}

/** Packages of Ingot's elements without what the tree has, too: there their scripts have run, and hooks may have changed it. */
export function withoutHookTree(parts: readonly Part[], hooks: HookTree | undefined): Part[] {
  if (hooks === undefined) return [...parts];
  return parts.map((part) => ({
    ...part,
    entries: part.entries.filter((entry) => entry.type === 'directory' || !hooks.entries.has(entry.path)),
  }));
}

const isBusybox = (entry: Entry) => entry.type === 'symlink' && /(^|\/)busybox$/.test(entry.target);

async function textOf(entry: Entry | undefined): Promise<string> {
  return entry?.type === 'file' ? Buffer.from(await entryBytes(entry)).toString('utf8') : '';
}

/** The elements' own parts on top of what hooks left: real programs stay where busybox stands in, accounts are put together. */
export async function withHookTree(parts: readonly Part[], hooks: HookTree | undefined): Promise<Part[]> {
  if (hooks === undefined) return [...parts];
  const accounts = new Set(['etc/passwd', 'etc/group', 'etc/shadow']);
  return Promise.all(
    parts.map(async (part) => ({
      ...part,
      entries: await Promise.all(
        part.entries
          .filter((entry) => !isBusybox(entry) || OF_INIT.includes(entry.path) || !hooks.entries.has(entry.path))
          .map(async (entry): Promise<Entry> => {
            const left = hooks.entries.get(entry.path);
            if (!accounts.has(entry.path) || left === undefined) return entry;
            const { mode, uid, gid } = left;
            const text = mergeAccounts(entry.path, await textOf(left), await textOf(entry));
            return { ...fileEntry(entry.path, text, mode), uid, gid };
          }),
      ),
    })),
  );
}
