import { describe, expect, test } from 'vitest';

import { FIRMWARE_STEPS, parseNvramEntries } from '../../../agent/commands/firmware-steps.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { fakeDeps } from '../../fakes/agent-deps.ts';
import { fakeOs, fakeRun, memoryFiles } from '../../fakes/agent-os.ts';

// Lines of real machines, one of them as an older efibootmgr wrote it.
const LISTING = `BootCurrent: 000B
Timeout: 1 seconds
BootOrder: 0003,0000,0001
Boot0000* Red Hat Enterprise Linux\tHD(1,GPT,34178504-2340-4fe0-8001-264372cf9b2d,0x800,0x64000)/File(\\EFI\\redhat\\shimx64.efi)
Boot0001* Fedora on a stick\tPciRoot(0x0)/Pci(0x14,0x0)/USB(11,1)/File(\\EFI\\fedora\\GRUBX64.EFI)
Boot0003  ThinkShield secure wipe\tFvFile(3593a0d5-bd52-43a0-808e-cbff5ece2477)
Boot0005  IDER BOOT CDROM\tPciRoot(0x0)/Pci(0x14,0x0)/USB(11,1)
Boot0007* Hard drive C: VenHw(d6c0639f-c705-4eb9-aa4f-5802d8823de6)
Boot000B* UEFI: PXE IPv4 grub.efi maker\tPciRoot(0x0)/Pci(0x1c,0x0)/MAC(525400112244,0)/IPv4(0.0.0.00.0.0.0,0,0)..BO
`;

type Step = (typeof FIRMWARE_STEPS)[number];
const stepOf = (name: string): Step => FIRMWARE_STEPS.find(({ step }) => step === name) as Step;

async function runStep(name: string, os: AgentOs, args: Record<string, unknown> = {}) {
  const log: string[] = [];
  const request = { kind: 'clean' as const, node: { uuid: 'u' }, ports: [], args };
  const context = {
    signal: new AbortController().signal,
    progress: () => undefined,
    log: (line: string) => void log.push(line),
  };
  return { result: await stepOf(name).run(fakeDeps({ os }), request, context), log };
}

describe('clean_uefi_nvram', () => {
  function machine(listing: Uint8Array = Buffer.from(LISTING)) {
    const run = fakeRun(
      Object.fromEntries(['0000', '0001', '0005', '0007'].map((one) => [`efibootmgr -b ${one} -B`, ''])),
    );
    const os = fakeOs({ run, runBytes: async () => listing, files: memoryFiles({ '/sys/firmware/efi/systab': '' }) });
    return { os, run };
  }

  test('reads entries with and without a tab, active or not', () => {
    expect(parseNvramEntries(LISTING).map(({ number, label }) => `${number} ${label}`)).toEqual([
      '0000 Red Hat Enterprise Linux',
      '0001 Fedora on a stick',
      '0003 ThinkShield secure wipe',
      '0005 IDER BOOT CDROM',
      '0007 Hard drive C:',
      '000B UEFI: PXE IPv4 grub.efi maker',
    ]);
    expect(parseNvramEntries(LISTING)[4]?.path).toBe('VenHw(d6c0639f-c705-4eb9-aa4f-5802d8823de6)');
  });

  test.each([
    ['UTF-8', Buffer.from(LISTING)],
    ['UTF-16', Buffer.from(LISTING, 'utf16le')],
    ['UTF-16 with a byte order mark', Buffer.from(`\uFEFF${LISTING}`, 'utf16le')],
  ])('deletes entries of disks, shim and GRUB, by the path and not by the label (%s)', async (_, listing) => {
    const { os, run } = machine(listing);
    const { result, log } = await runStep('clean_uefi_nvram', os);
    expect(result).toBeNull();
    expect(run.calls).toEqual(['efibootmgr -b 0000 -B', 'efibootmgr -b 0001 -B']);
    expect(log[0]).toContain('Red Hat Enterprise Linux');
  });

  test('deletes what the conductor names instead', async () => {
    const { os, run } = machine();
    await runStep('clean_uefi_nvram', os, { match_patterns: [String.raw`/usb\(11`, '^VenHw'] });
    expect(run.calls).toEqual(['efibootmgr -b 0001 -B', 'efibootmgr -b 0005 -B', 'efibootmgr -b 0007 -B']);
  });

  test.each([['^HD'], [[7]], [['(']], [{}]])(
    'refuses match_patterns %j before anything is deleted',
    async (patterns) => {
      const { os, run } = machine();
      const work = runStep('clean_uefi_nvram', os, { match_patterns: patterns });
      await expect(work).rejects.toMatchObject({ type: 'InvalidCommandParamsError' });
      expect(run.calls).toEqual([]);
    },
  );

  test('does nothing on a machine that BIOS started, and says so', async () => {
    const { log } = await runStep('clean_uefi_nvram', fakeOs());
    expect(log[0]).toMatch(/not started by UEFI/);
  });
});

describe('erase_pstore', () => {
  const dumps = { '/sys/fs/pstore/dmesg-efi-1': 'oops', '/sys/fs/pstore/dmesg-efi-2': 'oops' };

  test('mounts it, deletes everything, and takes it away again', async () => {
    const run = fakeRun({ 'mount -t pstore pstore /sys/fs/pstore': '', 'umount /sys/fs/pstore': '' });
    const files = memoryFiles(dumps);
    const { log } = await runStep('erase_pstore', fakeOs({ run, files }));
    expect([...files.all.keys()]).toEqual([]);
    expect(run.calls).toEqual(['mount -t pstore pstore /sys/fs/pstore', 'umount /sys/fs/pstore']);
    expect(log).toEqual(['pstore is empty now; it had dmesg-efi-1, dmesg-efi-2']);
  });

  test('uses the mount that is there, and leaves it', async () => {
    const files = memoryFiles({ '/proc/mounts': 'pstore /mnt/p pstore rw 0 0\n', '/mnt/p/dmesg-1': 'oops' });
    await runStep('erase_pstore', fakeOs({ files }));
    expect([...files.all.keys()]).toEqual(['/proc/mounts']);
  });

  test('fails when something stays, and is unmounted nevertheless', async () => {
    const run = fakeRun({ 'mount -t pstore pstore /sys/fs/pstore': '', 'umount /sys/fs/pstore': '' });
    const files = { ...memoryFiles(dumps), remove: async () => undefined };
    await expect(runStep('erase_pstore', fakeOs({ run, files }))).rejects.toThrow(/dmesg-efi-1, dmesg-efi-2 came back/);
    expect(run.calls.at(-1)).toBe('umount /sys/fs/pstore');
  });

  test('has nothing to do where the kernel has none', async () => {
    expect((await runStep('erase_pstore', fakeOs())).log[0]).toMatch(/there is no pstore/);
  });
});
