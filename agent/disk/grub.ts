import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { AgentOs } from '../os/door.ts';
import { addToFstab, type EspName } from './image-boot-files.ts';
import { insideOf, withMount, withMountAt } from './mounted.ts';
import { hasBootSignature, isActive } from './mbr.ts';
import { withDevice } from './partitions.ts';

/** GRUB looks for its own programs and efibootmgr in these. */
const ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
const MKCONFIG_ENV = { ...ENV, GRUB_DISABLE_OS_PROBER: 'true', GRUB_SAVEDEFAULT: 'true' };
/** What GRUB's programs look at to find out on which disk they are. */
const BOUND = ['/dev', '/proc', '/run'];
const BOOT_CODE_BYTES = 440;

export type GrubJob = {
  /** Device of the root partition. */
  root: string;
  /** Disks that get a boot sector; several where the root is an array. */
  disks: readonly string[];
  /** EFI system partition; undefined for BIOS. */
  esp: { device: string; name: EspName } | undefined;
  log: (message: string) => void;
};

/** Does a BIOS find a boot loader on the disk: code in its first sector, and a partition that is active? */
export async function hasBiosLoader(os: AgentOs, path: string): Promise<boolean> {
  const sector = Buffer.alloc(512);
  await withDevice(os, path, 'read', (device) => device.read(sector, 0));
  const hasCode = sector.subarray(0, BOOT_CODE_BYTES).some((byte) => byte !== 0);
  return hasBootSignature(sector) && hasCode && isActive(sector);
}

async function withSystemMounts<T>(os: AgentOs, root: string, work: () => Promise<T>): Promise<T> {
  let next: () => Promise<T> = work;
  for (const folder of BOUND.toReversed()) {
    const inner = next;
    next = () => withMountAt(os, ['-o', 'bind', folder], `${root}${folder}`, inner);
  }
  const inner = next;
  return withMountAt(os, ['-t', 'sysfs', 'none'], `${root}/sys`, inner);
}

/**
 * Installs GRUB with the programs of the system that was deployed, in a chroot (agent-protocol I.8, step 6). Runs programs of the
 * image as root, which is why IPA and this agent do it only where `enable_bios_bootloader_install` allows it (CVE-2026-43003).
 * @throws AgentError `CommandExecutionError`
 */
export async function installGrub(os: AgentOs, job: GrubJob): Promise<void> {
  const { esp, disks, log } = job;
  const chroot = async (root: string, script: string, env: Record<string, string> = ENV) => {
    await os.run('chroot', [root, '/bin/sh', '-c', script], { env, onLine: (line) => log(`chroot: ${line}`) });
  };
  const tolerant = async (root: string, script: string) => {
    await chroot(root, script).catch((error: unknown) => log(`${script} failed, which is ignored: ${reasonOf(error)}`));
  };
  try {
    await withMount(os, [job.root], 'root', (root) =>
      withSystemMounts(os, root, async () => {
        const isGrub2 = (await insideOf(os, root, 'usr/sbin/grub2-install')) !== undefined;
        const grub = isGrub2 ? 'grub2' : 'grub';
        const mkconfig = () => chroot(root, `${grub}-mkconfig -o /boot/${grub}/grub.cfg`, MKCONFIG_ENV);
        if (!esp) {
          for (const disk of disks) await chroot(root, `${grub}-install ${disk}`);
          return mkconfig();
        }
        await withMountAt(os, [esp.device], `${root}/boot/efi`, async () => {
          // The second one is for firmware that forgets its boot entries; whether there is a loader is looked for afterwards.
          await tolerant(root, `${grub}-install`);
          await tolerant(root, `${grub}-install --removable`);
          await mkconfig();
        });
        return addToFstab(os, root, esp.name);
      }),
    );
  } catch (error) {
    throw new AgentError(
      'CommandExecutionError',
      `cannot install GRUB with the programs of the image (on ${disks.join(', ')}): ${reasonOf(error)}`,
      { cause: error },
    );
  }
}
