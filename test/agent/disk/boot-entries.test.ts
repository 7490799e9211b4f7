import { describe, expect, test } from 'vitest';

import { makeBootEntries, parseBootEntries } from '../../../agent/disk/boot-entries.ts';
import { decodeCsv, findBootLoaders } from '../../../agent/disk/boot-loaders.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { fakeRun } from '../../fakes/agent-os.ts';
import { fixture, machineOs } from '../../fakes/machine.ts';

const DEBIAN_CSV = 'shimx64.efi,debian,,This is the boot entry for debian\n';
const utf16 = (text: string) => Buffer.from(text, 'utf16le');

describe('boot loaders', () => {
  test.each([
    ['UTF-16 with a byte order mark', Buffer.concat([Buffer.from([0xff, 0xfe]), utf16(DEBIAN_CSV)])],
    ['UTF-16 without one', utf16(DEBIAN_CSV)],
    ['big-endian UTF-16', Buffer.concat([Buffer.from([0xfe, 0xff]), utf16(DEBIAN_CSV).swap16()])],
    ['plain text', Buffer.from(DEBIAN_CSV)],
  ])('a CSV file may be %s', (_, bytes) => {
    expect(decodeCsv(bytes).replace(/^\uFEFF/, '')).toBe(DEBIAN_CSV);
  });

  test('the first CSV file wins alone, and its loader is beside it', async () => {
    const paths = [
      'EFI/BOOT/BOOTX64.EFI',
      'EFI/debian/BOOTX64.CSV',
      'EFI/debian/shimx64.efi',
      'EFI/ubuntu/BOOTX64.CSV',
    ];
    expect(await findBootLoaders(paths, async () => utf16(DEBIAN_CSV), 'x64')).toEqual([
      { path: String.raw`\EFI\debian\shimx64.efi`, label: 'debian' },
    ]);
  });

  test('every line of it names one, in its order, and none twice', async () => {
    const csv =
      'shimx64.efi,fedora,,x\r\nSHIMX64.EFI,again,,x\r\nshimx64-nx.efi,fedora nx,,x\r\nother.efi,fedora,,x\r\n\u0000';
    const read = async () => Buffer.concat([Buffer.from([0xff, 0xfe]), utf16(csv)]);
    expect(await findBootLoaders(['EFI/fedora/BOOTX64.CSV'], read, 'x64')).toEqual([
      { path: String.raw`\EFI\fedora\shimx64.efi`, label: 'fedora' },
      { path: String.raw`\EFI\fedora\shimx64-nx.efi`, label: 'fedora nx' },
    ]);
  });

  test.each([
    ['x64', ['BOOTX64.EFI', 'BOOTAA64.EFI', 'BOOTIA32.EFI', 'BOOTLOONGARCH64.EFI']],
    ['aa64', ['BOOTAA64.EFI', 'grubaa64.efi', 'BOOTIA32.EFI', 'BOOTLOONGARCH64.EFI']],
    ['loongarch64', ['BOOTLOONGARCH64.EFI', 'BOOTAA64.EFI', 'BOOTIA32.EFI', 'BOOTX64.EFI']],
  ])('without one, every well-known name counts, those for %s first', async (arch, names) => {
    const paths = [
      'BOOTIA32.EFI',
      'BOOTX64.EFI',
      'BOOTAA64.EFI',
      'BOOTLOONGARCH64.EFI',
      'grubaa64.efi',
      'fbx64.efi',
      'BOOT.CSV',
    ];
    const found = await findBootLoaders(
      paths.map((name) => `EFI/BOOT/${name}`),
      async () => Buffer.from('\n'),
      arch,
    );
    const ends = found.map(({ path }) => path.split('\\').at(-1));
    expect(ends.slice(0, names.length)).toEqual(names);
    expect(new Set(ends)).toEqual(new Set(paths.filter((name) => !/^fb|CSV$/.test(name))));
  });
});

const EFIBOOTMGR = `BootCurrent: 0002
Timeout: 0 seconds
BootOrder: 0002,0000,0001,0003
Boot0000* UiApp\tFvVol(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(462caa21-7614-4503-836e-8ab6f4662331)
Boot0001* UEFI PXEv4 (MAC:525400112244)\tPciRoot(0x0)/Pci(0x2,0x0)/MAC(525400112244,1)/IPv4(0.0.0.00.0.0.0,0,0){auto_created_boot_option}
Boot0002* ironic1\tHD(1,GPT,5f2a,0x800,0x19000)/File(\\EFI\\BOOT\\BOOTX64.EFI)
Boot000A  ironic1\tHD(1,GPT,77aa,0x800,0x19000)/File(\\EFI\\BOOT\\BOOTX64.EFI)
`;

function q35WithEsp(answers: Record<string, string>): AgentOs & { calls: string[] } {
  const lsblk = fixture('qemu-q35', 'lsblk.json').replace(
    '0fc63daf-8483-4772-8e79-3d69d8477de4',
    'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
  );
  const run = fakeRun({
    'mount -t vfat -o ro /dev/sda1 /run/ingot-agent/mounts/esp': '',
    'umount /run/ingot-agent/mounts/esp': '',
    'efibootmgr -v': EFIBOOTMGR,
    ...answers,
  });
  const machine = machineOs('qemu-q35', { run });
  const files: AgentOs['files'] = {
    ...machine.files,
    read: async (path) => (path === '/sys/class/block/sda1/partition' ? '1\n' : machine.files.read(path)),
    list: async (path) => {
      const tree: Record<string, string[]> = {
        '/run/ingot-agent/mounts/esp': ['EFI'],
        '/run/ingot-agent/mounts/esp/EFI': ['BOOT'],
        '/run/ingot-agent/mounts/esp/EFI/BOOT': ['BOOTX64.EFI', 'grub.cfg'],
      };
      return tree[path] ?? machine.files.list(path);
    },
  };
  return {
    ...machine,
    files,
    run: (file, args, options) =>
      file === 'lsblk' ? Promise.resolve({ stdout: lsblk, stderr: '', exitCode: 0 }) : machine.run(file, args, options),
  };
}

describe('boot entries', () => {
  test('are read with their labels, active or not', () => {
    expect(parseBootEntries(EFIBOOTMGR)).toEqual([
      { number: '0000', label: 'UiApp' },
      { number: '0001', label: 'UEFI PXEv4 (MAC:525400112244)' },
      { number: '0002', label: 'ironic1' },
      { number: '000A', label: 'ironic1' },
    ]);
  });

  test('are read as efibootmgr 18 prints them', () => {
    const entries = parseBootEntries(fixture('qemu-q35-trixie', 'efibootmgr.txt'));
    expect(entries.map(({ label }) => label)).toContain('ironic1');
    expect(entries.every(({ number, label }) => /^[0-9A-F]{4}$/.test(number) && !label.includes('\t'))).toBe(true);
  });

  test('replace all those with the same label', async () => {
    const create = String.raw`efibootmgr -v -c -d /dev/sda -p 1 -w -L ironic1 -l \EFI\BOOT\BOOTX64.EFI`;
    const os = q35WithEsp({ 'efibootmgr -b 0002 -B': '', 'efibootmgr -b 000A -B': '', [create]: '' });
    expect(await makeBootEntries(os, '/dev/sda', null)).toEqual([
      { label: 'ironic1', path: String.raw`\EFI\BOOT\BOOTX64.EFI` },
    ]);
    expect(os.calls.filter((call) => call.startsWith('efibootmgr'))).toEqual([
      'efibootmgr -v',
      'efibootmgr -b 0002 -B',
      'efibootmgr -b 000A -B',
      create,
    ]);
    expect(os.calls).toContain('umount /run/ingot-agent/mounts/esp');
  });

  test('the partition is given back when a program fails', async () => {
    const os = q35WithEsp({});
    await expect(makeBootEntries(os, '/dev/sda', null)).rejects.toThrow('efibootmgr');
    expect(os.calls).toContain('umount /run/ingot-agent/mounts/esp');
  });

  test('a disk without an EFI system partition is named with its partitions', async () => {
    await expect(makeBootEntries(machineOs('qemu-q35'), '/dev/sda', null)).rejects.toMatchObject({
      type: 'DeviceNotFound',
      details: expect.stringContaining('No EFI partition could be detected on /dev/sda') as string,
    });
  });
});
