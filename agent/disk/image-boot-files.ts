import type { AgentOs } from '../os/door.ts';
import { insideOf, withMount } from './mounted.ts';

/** Where a system has its EFI system partition mounted, and so where the image of its root has the boot loader's files. */
const ESP_FOLDER = 'boot/efi';
/** What GRUB reads beside its loader, if the image keeps it in the root only (RHEL and its kin). */
const GRUB_FILES = ['grub.cfg', 'grubenv'];

/** How the system will know a partition in its fstab. */
export type EspName = { kind: 'UUID' | 'PARTUUID'; value: string };

/** Adds the EFI system partition to the fstab of a system, unless it is there. */
export async function addToFstab(os: AgentOs, root: string, esp: EspName): Promise<void> {
  const path = await insideOf(os, root, 'etc/fstab');
  const text = path === undefined ? undefined : await os.files.read(path);
  const name = `${esp.kind}=${esp.value}`;
  if (path === undefined || text === undefined || text.includes(name)) return;
  const before = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  await os.files.write(path, `${before}${name}\t/boot/efi\tvfat\tumask=0077\t0\t1\n`);
}

async function copyGrubFiles(os: AgentOs, root: string, esp: string): Promise<void> {
  for (const name of GRUB_FILES) {
    const source = await insideOf(os, root, `boot/grub2/${name}`);
    const bytes = source === undefined ? undefined : await os.files.readBytes(source);
    if (!bytes) continue;
    for (const vendor of await os.files.list(`${esp}/EFI`)) {
      const target = `${esp}/EFI/${vendor}/${name}`;
      if (!(await os.files.exists(target))) await os.files.write(target, bytes);
    }
  }
}

/**
 * Copies the boot loader that a partition image brings in /boot/efi to the EFI system partition, and names that in its fstab. Nothing of
 * the image is run (agent-protocol I.8, step 6).
 * @param root device of the root partition; @param esp device of the EFI system partition
 * @returns false when the image brings none
 * @throws Failure or AgentError
 */
export async function copyBootFiles(os: AgentOs, root: string, esp: string, name: EspName): Promise<boolean> {
  return withMount(os, ['-o', 'nosuid,nodev,noexec', root], 'root', async (folder) => {
    const source = await insideOf(os, folder, ESP_FOLDER);
    if (source === undefined || (await os.files.list(`${source}/EFI`)).length === 0) return false;
    await withMount(os, ['-t', 'vfat', esp], 'esp', async (target) => {
      await os.run('cp', ['-R', `${source}/.`, `${target}/`]);
      await copyGrubFiles(os, folder, target);
    });
    await addToFstab(os, folder, name);
    return true;
  });
}
