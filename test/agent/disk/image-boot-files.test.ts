import { describe, expect, test } from 'vitest';

import { installGrub } from '../../../agent/disk/grub.ts';
import { addToFstab, copyBootFiles } from '../../../agent/disk/image-boot-files.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { fakeOs, memoryFiles } from '../../fakes/agent-os.ts';

const ROOT = '/run/ingot-agent/mounts/root';
const ESP = '/run/ingot-agent/mounts/esp';
const NAME = { kind: 'UUID', value: 'ABCD-1234' } as const;

/** A machine that mounts nothing, with the files that would be there; `links` are what paths of them lead to. */
function machine(
  files: Record<string, string>,
  options: { links?: Record<string, string>; fails?: RegExp; type?: string } = {},
) {
  const calls: string[] = [];
  const memory = memoryFiles(files);
  const { links = {}, fails, type = '' } = options;
  const os: AgentOs = {
    ...fakeOs(),
    files: {
      ...memory,
      resolve: async (path) => links[path] ?? ((await memory.exists(path)) ? path : undefined),
    },
    run: async (file, args, { env = {} } = {}) => {
      const line = [file, ...args].join(' ');
      calls.push(env['GRUB_SAVEDEFAULT'] === undefined ? line : `${line} (GRUB_SAVEDEFAULT)`);
      if (fails?.test(line)) throw new Error(`${file} does not want to`);
      return { stdout: file === 'blkid' ? `${type}\n` : '', stderr: '', exitCode: 0 };
    },
  };
  return { os, calls, all: memory.all };
}

describe('boot files of a partition image', () => {
  const EFI = { [`${ROOT}/boot/efi/EFI/debian/grubx64.efi`]: 'loader' };

  test.each([
    [
      'xfs',
      'its file system is xfs, which the kernel of this ramdisk does not know; build it with the element filesystems',
    ],
    ['btrfs', 'build it with the element filesystems'],
    ['f2fs', 'build it with an element that has the kernel module f2fs'],
    ['ext4', 'mount does not want to'],
    ['', 'mount does not want to'],
  ])('on %j that cannot be mounted: the error names what is missing', async (type, why) => {
    // As a kernel with ext4 and vfat has it.
    const files = { '/proc/filesystems': 'nodev\tsysfs\nnodev\ttmpfs\n\text4\n\tvfat\n' };
    const { os } = machine(files, { fails: /^mount/, type });
    await expect(copyBootFiles(os, '/dev/sda5', '/dev/sda1', NAME)).rejects.toThrow(why);
  });

  test('are copied to the EFI system partition, which the system then finds in its fstab', async () => {
    const { os, calls, all } = machine({ ...EFI, [`${ROOT}/etc/fstab`]: 'LABEL=root / ext4 defaults 0 1' });
    expect(await copyBootFiles(os, '/dev/sda5', '/dev/sda1', NAME)).toBe(true);
    expect(calls).toEqual([
      `mount -o nosuid,nodev,noexec /dev/sda5 ${ROOT}`,
      `mount -t vfat /dev/sda1 ${ESP}`,
      `cp -R ${ROOT}/boot/efi/. ${ESP}/`,
      `umount ${ESP}`,
      `umount ${ROOT}`,
    ]);
    expect(all.get(`${ROOT}/etc/fstab`)).toBe(
      'LABEL=root / ext4 defaults 0 1\nUUID=ABCD-1234\t/boot/efi\tvfat\tumask=0077\t0\t1\n',
    );
  });

  test('get the settings of GRUB that the root has, where they have none themselves', async () => {
    const { os, all } = machine({
      ...EFI,
      [`${ROOT}/boot/grub2/grub.cfg`]: 'menu',
      [`${ROOT}/boot/grub2/grubenv`]: 'environment',
      [`${ESP}/EFI/BOOT/x`]: '',
      [`${ESP}/EFI/fedora/grub.cfg`]: 'its own',
    });
    await copyBootFiles(os, '/dev/sda5', '/dev/sda1', NAME);
    const made = ['BOOT/grub.cfg', 'BOOT/grubenv', 'fedora/grub.cfg', 'fedora/grubenv'];
    expect(made.map((name) => all.get(`${ESP}/EFI/${name}`))).toEqual([
      'menu',
      'environment',
      'its own',
      'environment',
    ]);
  });

  test.each<[string, Record<string, string>, Record<string, string>]>([
    ['there are none', { [`${ROOT}/etc/fstab`]: '' }, {}],
    ['the folder is empty', { [`${ROOT}/boot/efi/x`]: '' }, {}],
    ['they are a link out of the image', EFI, { [`${ROOT}/boot/efi`]: '/run/ingot-agent/state' }],
  ])('nothing is copied when %s', async (_, files, links) => {
    const { os, calls } = machine(files, { links });
    expect(await copyBootFiles(os, '/dev/sda5', '/dev/sda1', NAME)).toBe(false);
    expect(calls.filter((call) => call.startsWith('cp'))).toEqual([]);
    expect(calls.at(-1)).toBe(`umount ${ROOT}`);
  });

  test('an fstab that has the partition stays, and one that is a link out of the image is not followed', async () => {
    const has = machine({ [`${ROOT}/etc/fstab`]: 'UUID=ABCD-1234 /boot/efi vfat\n' });
    await addToFstab(has.os, ROOT, NAME);
    expect(has.all.get(`${ROOT}/etc/fstab`)).toBe('UUID=ABCD-1234 /boot/efi vfat\n');
    const leads = machine(
      { [`${ROOT}/etc/fstab`]: '', '/etc/passwd': 'root' },
      { links: { [`${ROOT}/etc/fstab`]: '/etc/passwd' } },
    );
    await addToFstab(leads.os, ROOT, NAME);
    expect(leads.all.get('/etc/passwd')).toBe('root');
  });

  test('everything is unmounted when copying fails', async () => {
    const { os, calls } = machine(EFI, { fails: /^cp/ });
    await expect(copyBootFiles(os, '/dev/sda5', '/dev/sda1', NAME)).rejects.toThrow('cp does not want to');
    expect(calls.slice(-2)).toEqual([`umount ${ESP}`, `umount ${ROOT}`]);
  });
});

describe('GRUB in a chroot', () => {
  const BEFORE = [
    `mount /dev/sda1 ${ROOT}`,
    `mount -t sysfs none ${ROOT}/sys`,
    `mount -o bind /dev ${ROOT}/dev`,
    `mount -o bind /proc ${ROOT}/proc`,
    `mount -o bind /run ${ROOT}/run`,
  ];
  const AFTER = [
    `umount ${ROOT}/run`,
    `umount ${ROOT}/proc`,
    `umount ${ROOT}/dev`,
    `umount ${ROOT}/sys`,
    `umount ${ROOT}`,
  ];
  const job = { root: '/dev/sda1', disks: ['/dev/sda'], esp: undefined, log: () => undefined };

  test('for BIOS goes to the disk', async () => {
    const { os, calls } = machine({});
    await installGrub(os, job);
    expect(calls).toEqual([
      ...BEFORE,
      `chroot ${ROOT} /bin/sh -c grub-install /dev/sda`,
      `chroot ${ROOT} /bin/sh -c grub-mkconfig -o /boot/grub/grub.cfg (GRUB_SAVEDEFAULT)`,
      ...AFTER,
    ]);
  });

  test('for UEFI goes to the EFI system partition, by the names that RHEL has, and its failures are told later', async () => {
    const files = { [`${ROOT}/usr/sbin/grub2-install`]: '', [`${ROOT}/etc/fstab`]: '' };
    const { os, calls, all } = machine(files, { fails: /grub2-install/ });
    await installGrub(os, { ...job, esp: { device: '/dev/sda2', name: NAME } });
    expect(calls.slice(BEFORE.length, -AFTER.length)).toEqual([
      `mount /dev/sda2 ${ROOT}/boot/efi`,
      `chroot ${ROOT} /bin/sh -c grub2-install`,
      `chroot ${ROOT} /bin/sh -c grub2-install --removable`,
      `chroot ${ROOT} /bin/sh -c grub2-mkconfig -o /boot/grub2/grub.cfg (GRUB_SAVEDEFAULT)`,
      `umount ${ROOT}/boot/efi`,
    ]);
    expect(all.get(`${ROOT}/etc/fstab`)).toContain('UUID=ABCD-1234\t/boot/efi');
  });

  test('that fails is told, with everything unmounted', async () => {
    const { os, calls } = machine({}, { fails: /grub-install/ });
    await expect(installGrub(os, job)).rejects.toMatchObject({
      type: 'CommandExecutionError',
      details: 'cannot install GRUB with the programs of the image (on /dev/sda): chroot does not want to',
    });
    expect(calls.slice(-AFTER.length)).toEqual(AFTER);
  });
});
