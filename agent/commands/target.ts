import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { examineDevice } from '../disk/examine.ts';
import { guardOptions, refuseGuarded } from '../disk/guard.ts';
import type { BootMode } from '../hardware/boot-mode.ts';
import { listDisks } from '../hardware/disks.ts';
import { findRootDisk } from '../hardware/inventory.ts';
import { rootDeviceHints } from '../hardware/root-disk.ts';
import { skippedDisks } from '../hardware/skip-list.ts';
import type { AgentDeps } from './deps.ts';

/** The node whose hints count: without hints Ironic is asked once more, because they may have been set since the boot. */
async function nodeWithHints(deps: AgentDeps): Promise<Node | undefined> {
  const node = deps.node.current;
  if (rootDeviceHints(node)) return node;
  const fresh = await deps.refreshNode();
  // A lookup tells less of a node than a step does: without its raid_config the root volume would be forgotten by the next command.
  if (fresh) deps.node.current = node && node.uuid === fresh.uuid ? { ...node, ...fresh } : fresh;
  return deps.node.current;
}

/**
 * The disk that is deployed to.
 * @returns its path, and the node as it was asked for
 * @throws AgentError `DeviceNotFound`
 */
export async function findTarget(deps: AgentDeps): Promise<{ path: string; node: Node | undefined }> {
  const node = await nodeWithHints(deps);
  const { name } = await findRootDisk(deps.os, node);
  return { path: name, node };
}

/**
 * A disk may be written when nothing of it is in use or shared with other machines. A removable one is the operator's choice.
 * @throws AgentError `ProtectedDeviceError`
 */
export async function guardTarget(
  { os, config, node }: Pick<AgentDeps, 'os' | 'config' | 'node'>,
  path: string,
): Promise<void> {
  const disk = await examineDevice(os, path);
  if (disk === undefined) throw new AgentError('DeviceNotFound', `cannot write to ${path}: it is gone`);
  // The choice looked at this list, too; whatever chose instead (a RAID configuration, a plug-in) is held to it here.
  const skipped = skippedDisks(node.current, disk.kind === 'array' ? await listDisks(os) : [disk]);
  refuseGuarded(disk, guardOptions({ ...config, guardRemovable: false }, skipped));
}

/** By which firmware this ramdisk was started. */
export async function firmwareOf({ os }: Pick<AgentDeps, 'os'>): Promise<BootMode> {
  return (await os.files.exists('/sys/firmware/efi')) ? 'uefi' : 'bios';
}
