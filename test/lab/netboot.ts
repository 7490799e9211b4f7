import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import type { QemuMachine } from '../../arch/qemu.ts';
import type { Tools } from '../../machine/tools.ts';

/** This host as a guest of QEMU's user-mode network sees it. */
export const HOST_SEEN_BY_GUEST = '10.0.2.2';

/** Where `ingot conductor` has the script of a machine, and where an Ironic has the one that leads to it. */
const CONDUCTOR_SCRIPT = `/boot/ipxe/\${mac}`;
export const IRONIC_SCRIPT = '/boot.ipxe';

/**
 * What iPXE does after it was loaded over TFTP: it asks the conductor for the script of this machine.
 * `exit 1` and not `exit`: after a boot option that ended well, UEFI firmware stops in its menu instead of trying the next.
 */
export function autoexecScript(bootUrl: string, script: string = CONDUCTOR_SCRIPT): string {
  return [
    '#!ipxe',
    // The firmware's DHCP answer is known to iPXE and only wants the card open again; asking anew takes four seconds.
    'ifopen net0 && isset ${net0/ip} || dhcp || exit 1',
    `chain --autofree ${bootUrl}${script} || exit 1`,
    '',
  ].join('\n');
}

/**
 * Fills the folder of a machine's TFTP server.
 * @param bootUrl the conductor as the machine sees it, without a slash at the end
 * @param script path of its boot script there, if it is no conductor of ours
 * @returns what `MachineHardware.netboot` wants
 */
export async function prepareNetboot(
  folder: string,
  tools: Tools,
  machine: QemuMachine,
  bootUrl: string,
  script?: string,
): Promise<{ folder: string; bootfile: string }> {
  await mkdir(folder, { recursive: true });
  const bootfile = basename(machine.ipxe);
  await copyFile(tools.path(machine.ipxe), join(folder, bootfile));
  await writeFile(join(folder, 'autoexec.ipxe'), autoexecScript(bootUrl, script));
  return { folder, bootfile };
}
