import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { AgentOs } from '../os/door.ts';

const FOLDER = '/run/ingot-agent/mounts';
const UNMOUNT_ATTEMPTS = 3;
const UNMOUNT_DELAY_MS = 1000;

/** @throws AgentError `CommandExecutionError` when it stays busy */
async function unmount(os: AgentOs, folder: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await os.run('umount', [folder]);
      return;
    } catch (error) {
      if (attempt === UNMOUNT_ATTEMPTS)
        throw new AgentError('CommandExecutionError', `cannot unmount ${folder}: ${reasonOf(error)}`, { cause: error });
      await os.clock.sleep(UNMOUNT_DELAY_MS);
    }
  }
}

/**
 * Why a device could not be mounted, where it is the kernel that lacks its file system: it looked for the module meanwhile, and
 * /proc/filesystems has what it has.
 */
async function explainMount(os: AgentOs, device: string | undefined, error: unknown): Promise<unknown> {
  if (!device?.startsWith('/dev/')) return error;
  const probe = ['--probe', '--output', 'value', '--match-tag', 'TYPE', device];
  const found = await os.run('blkid', probe, { okExitCodes: [0, 2] }).catch(() => undefined);
  const type = found?.stdout.trim();
  const known = (await os.files.read('/proc/filesystems'))?.split(/\s+/);
  if (!type || !known || known.includes(type)) return error;
  const hint = ['xfs', 'btrfs'].includes(type)
    ? 'build it with the element filesystems'
    : `build it with an element that has the kernel module ${type}`;
  return new AgentError(
    'DeploymentError',
    `cannot mount ${device}: its file system is ${type}, which the kernel of this ramdisk does not know; ${hint}`,
    { cause: error },
  );
}

/**
 * Mounts something, and unmounts it after the work: what was written is on the disk then.
 * @param words of mount(8) before the folder
 * @param folder where; made if it is missing
 * @throws AgentError `DeploymentError` that names a file system which the kernel does not know; Failure of mount(8)
 */
export async function withMountAt<T>(
  os: AgentOs,
  words: readonly string[],
  folder: string,
  work: () => Promise<T>,
): Promise<T> {
  await os.files.makeDirectory(folder, 0o755);
  try {
    await os.run('mount', [...words, folder]);
  } catch (error) {
    throw await explainMount(os, words.at(-1), error);
  }
  let result: T;
  try {
    result = await work();
  } catch (error) {
    // The first error is the one to tell.
    await unmount(os, folder).catch(() => undefined);
    throw error;
  }
  await unmount(os, folder);
  return result;
}

/** As `withMountAt`, at a folder of our own. */
export async function withMount<T>(
  os: AgentOs,
  words: readonly string[],
  name: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = `${FOLDER}/${name}`;
  return withMountAt(os, words, folder, () => work(folder));
}

/**
 * A path of a mounted file system, with its links followed; undefined where it is missing or leads out of the file system: an image
 * could have links to files of the ramdisk.
 */
export async function insideOf(os: AgentOs, root: string, path: string): Promise<string | undefined> {
  const found = await os.files.resolve(`${root}/${path}`);
  return found?.startsWith(`${root}/`) ? found : undefined;
}
