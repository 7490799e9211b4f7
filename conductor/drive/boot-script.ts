import { ROOT_IN_MEMORY } from '../../arch/parameters.ts';
import { timestamp } from '../store/store.ts';
import type { NodeRecord } from '../store/node.ts';
import type { DriveDeps } from './deps.ts';
import { normalMac } from './inspect.ts';
import { setInfo } from './node-change.ts';

/** Names of the two files under `/boot/`. */
export const RAMDISK_FILES = { kernel: 'deploy.kernel', initramfs: 'deploy.initramfs' } as const;

/** One line, whatever was put into it: a line break would be another command to iPXE. */
const oneLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim();

/**
 * Kernel parameters of the ramdisk (agent-protocol A.3 and H.1). An inspection has no API URL, as with Ironic: the ramdisk
 * posts its inventory and waits to be switched off.
 */
export function kernelParameters(
  node: NodeRecord,
  mac: string,
  settings: { publicUrl: string; kernelAppend: string },
): string {
  const { publicUrl, kernelAppend } = settings;
  const purpose =
    node.driver_internal_info.ingot_ramdisk === 'inspect'
      ? `ipa-inspection-callback-url=${publicUrl}/v1/continue_inspection`
      : `ipa-api-url=${publicUrl}`;
  const own = node.driver_info['kernel_append_params'];
  // %default% is Ironic's: the conductor's parameters go there; without it the node's come after them and win.
  const extra =
    typeof own !== 'string'
      ? kernelAppend
      : own.includes('%default%')
        ? own.replaceAll('%default%', kernelAppend)
        : `${kernelAppend} ${own}`;
  return oneLine(`${purpose} BOOTIF=01-${mac.replaceAll(':', '-')} ${ROOT_IN_MEMORY} ${extra}`);
}

/** With an error, because firmware that a boot option left without one stops in its menu (UEFI 2.10, 3.1.1) and tries no other. */
function leave(message: string): string {
  return `#!ipxe\necho Ingot: ${oneLine(message)}\nexit 1\n`;
}

/**
 * The iPXE script for a machine. Only a node whose flow needs the ramdisk gets it; all others leave iPXE, so that the
 * firmware goes on to the next boot option, the disk.
 */
export function bootScript(deps: DriveDeps, macText: string): string {
  const mac = normalMac(macText);
  const node = mac === undefined ? undefined : deps.store.nodesOfAddresses([mac])[0];
  if (mac === undefined || node === undefined)
    return leave(`no node has the MAC address ${macText.replaceAll(/[^\w:-]/g, '')}`);
  const name = node.name ?? node.uuid;
  if (node.driver_internal_info.ingot_ramdisk === undefined) return leave(`node ${name} boots from its disk`);
  setInfo(deps, node.uuid, { ingot_boot_script_fetched: timestamp(deps.os.clock.now()) });
  deps.log.info({ node: name, mac }, 'boot script');
  const { publicUrl } = deps.settings;
  return [
    '#!ipxe',
    `echo Ingot: node ${name} boots the ramdisk`,
    // The kernel's EFI stub finds its initramfs by this name.
    `kernel ${publicUrl}/boot/${RAMDISK_FILES.kernel} initrd=${RAMDISK_FILES.initramfs} ${kernelParameters(node, mac, deps.settings)} || goto failed`,
    `initrd --name ${RAMDISK_FILES.initramfs} ${publicUrl}/boot/${RAMDISK_FILES.initramfs} || goto failed`,
    'boot || goto failed',
    ':failed',
    `echo Ingot: node ${name} cannot load the ramdisk from ${publicUrl}; it starts anew in 10 seconds`,
    'sleep 10',
    'reboot',
    '',
  ].join('\n');
}
