import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { type Block, eachOnce, listBlocks } from '../hardware/lsblk.ts';
import type { AgentOs } from '../os/door.ts';

const REREAD_ATTEMPTS = 10;
const REREAD_DELAY_MS = 1000;

/** `/dev/sda` to `sda`. */
export function knameOf(path: string): string {
  return path.replace(/^\/dev\//, '');
}

/**
 * Makes the kernel read the partition table of a disk anew, and waits until udev has seen the partitions.
 * @throws AgentError `BlockDeviceError` when the disk stays busy
 */
export async function rereadPartitions(os: AgentOs, path: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await os.run('blockdev', ['--rereadpt', path]);
      break;
    } catch (error) {
      // udev's own probing holds the disk for moments.
      if (attempt === REREAD_ATTEMPTS)
        throw new AgentError('BlockDeviceError', `cannot read the partition table of ${path}: ${reasonOf(error)}`, {
          cause: error,
        });
      await os.clock.sleep(REREAD_DELAY_MS);
    }
  }
  await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
}

/** The partitions of a disk as the kernel has them, in the table's order. */
export async function listPartitions(os: AgentOs, path: string): Promise<Block[]> {
  const disk = knameOf(path);
  return eachOnce(await listBlocks(os)).filter(({ pkname, type }) => pkname === disk && type === 'part');
}

/** Runs work on a device that is open only while it runs. */
export async function withDevice<T>(
  os: Pick<AgentOs, 'openDevice'>,
  path: string,
  mode: 'read' | 'write',
  work: (device: Awaited<ReturnType<AgentOs['openDevice']>>) => Promise<T>,
): Promise<T> {
  const device = await os.openDevice(path, mode);
  try {
    return await work(device);
  } finally {
    await device.close();
  }
}
