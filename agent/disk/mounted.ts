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
 * Mounts something, and unmounts it after the work: what was written is on the disk then.
 * @param words of mount(8) before the folder
 * @param folder where; made if it is missing
 */
export async function withMountAt<T>(
  os: AgentOs,
  words: readonly string[],
  folder: string,
  work: () => Promise<T>,
): Promise<T> {
  await os.files.makeDirectory(folder, 0o755);
  await os.run('mount', [...words, folder]);
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
