import type { Attempt } from '../../evidence/record.ts';
import { rereadPartitions } from '../disk/partitions.ts';
import type { DiskModel } from '../hardware/disk-model.ts';
import type { AgentOs } from '../os/door.ts';
import { parseHdparmIdentify } from './ata-words.ts';
import { ATA_PASSWORD } from './perform-ata.ts';

type Gap = Attempt['gaps'][number];

/**
 * Unlocks disks that a power cut has left locked in the middle of an ATA Security Erase: the password is in force until that ends, a
 * locked disk gives nothing away, not even whether it may be erased, and so it has to come first. Of a disk that somebody else has
 * locked the password is another, and it stays as it is.
 * @param disks none that is to be left alone
 * @returns by kernel name, what the evidence is to say of it
 */
export async function unlockInterrupted(
  os: AgentOs,
  disks: readonly DiskModel[],
  log: (message: string) => void,
): Promise<Map<string, Gap>> {
  const unlocked = new Map<string, Gap>();
  const read = async (path: string) => parseHdparmIdentify((await os.run('hdparm', ['-I', path])).stdout);
  const words = ['--user-master', 'u'];
  for (const { kname, disk, ataSecurity } of disks) {
    // As udev read it at the start, when a disk that has a password is locked.
    if (ataSecurity?.isEnabled !== true) continue;
    try {
      const before = await read(disk.name);
      if (!before.isLocked || before.isFrozen) continue;
      await os.run('hdparm', [...words, '--security-unlock', ATA_PASSWORD, disk.name]);
      await os.run('hdparm', [...words, '--security-disable', ATA_PASSWORD, disk.name]);
      await rereadPartitions(os, disk.name);
    } catch {
      continue;
    }
    log(`${disk.name} was locked with the password of an erase that did not finish; it is unlocked`);
    unlocked.set(kname, {
      interrupted_after: null,
      resumed_at: new Date(os.clock.now()).toISOString(),
      position: null,
      how: 'the disk was locked with the password of an ATA Security Erase that did not finish',
    });
  }
  return unlocked;
}
