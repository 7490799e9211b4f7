import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { AgentOs } from '../os/door.ts';

const FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];

type Maker = { program: string; args: (label: string) => string[] };

/** Programs that make file systems, for the types whose program takes other words than `-L LABEL DEVICE`. */
const MAKERS: Readonly<Record<string, Maker>> = {
  vfat: { program: 'mkfs.vfat', args: (label) => ['-n', label] },
  swap: { program: 'mkswap', args: (label) => ['-L', label] },
  ...Object.fromEntries(
    ['ext2', 'ext3', 'ext4'].map((type) => [
      type,
      { program: 'mke2fs', args: (label: string) => ['-q', '-F', '-t', type, '-L', label] },
    ]),
  ),
  // Both refuse a partition on which there was something, unless they are forced.
  ...Object.fromEntries(
    ['xfs', 'btrfs'].map((type) => [type, { program: `mkfs.${type}`, args: (label: string) => ['-f', '-L', label] }]),
  ),
};

function makerOf(type: string): Maker {
  const maker = Object.hasOwn(MAKERS, type) ? MAKERS[type] : undefined;
  if (maker) return maker;
  if (!/^[a-z][a-z0-9]*$/.test(type))
    throw new AgentError(
      'InvalidCommandParamsError',
      `cannot make a file system: ${JSON.stringify(type)} is no type of one`,
    );
  return { program: `mkfs.${type}`, args: (label) => ['-L', label] };
}

/**
 * Refuses a type of file system whose program is not in this ramdisk, before anything was done.
 * @throws AgentError `DeploymentError`
 */
export async function checkFileSystem(os: AgentOs, type: string): Promise<void> {
  const { program } = makerOf(type);
  for (const folder of FOLDERS) if (await os.files.isExecutable(`${folder}/${program}`)) return;
  throw new AgentError(
    'DeploymentError',
    `cannot make a file system: ${type} is not supported, because this ramdisk has no ${program}; use ext4, or add an element that brings it`,
  );
}

/**
 * Makes a file system, or a swap area.
 * @param type as mkfs(8) calls it, or `swap`
 * @throws AgentError `DeploymentError` with what the program said
 */
export async function makeFileSystem(os: AgentOs, type: string, path: string, label: string): Promise<void> {
  const { program, args } = makerOf(type);
  try {
    await os.run(program, [...args(label), path]);
  } catch (error) {
    throw new AgentError('DeploymentError', `cannot make a file system (${type}) on ${path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * UUID by which a partition is found: its file system's.
 * @returns undefined where there is nothing that blkid knows
 */
export async function fileSystemUuid(os: AgentOs, path: string): Promise<string | undefined> {
  // By probing: what udev knows may be from before the file system was made.
  const { stdout } = await os.run('blkid', ['--probe', '--output', 'export', path], { okExitCodes: [0, 2] });
  return /^UUID=(.+)$/m.exec(stdout)?.[1];
}
