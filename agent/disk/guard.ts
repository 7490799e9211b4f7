import { AgentError } from '../api/errors.ts';
import type { Block } from '../hardware/lsblk.ts';

/** File systems that several machines share: erasing one takes data from machines that are running (agent-protocol F.5). */
const SHARED: readonly { name: string; uuids?: readonly string[]; fstypes?: readonly string[] }[] = [
  { name: 'GPFS', uuids: ['37affc90-ef7d-4e96-91c3-2d7ae055b174'], fstypes: ['gpfs'] },
  {
    name: 'VMFS',
    // The second one is the type of a partition in an MBR.
    uuids: ['aa31e02a-400f-11db-9590-000c2911d1b8', '0xfb'],
    fstypes: ['vmfs', 'vmfs_volume_member'],
  },
  { name: 'GFS2', fstypes: ['gfs2'] },
];

/** The shared file system on a device, if there is one. lsblk writes UUIDs in lower case, others in upper. */
export function sharedFilesystem(block: Block): string | undefined {
  const uuids = [block.uuid, block.ptuuid, block.parttype, block.partuuid].map((value) => value?.toLowerCase() ?? '');
  const fstype = block.fstype?.toLowerCase() ?? '';
  return SHARED.find((one) => one.uuids?.some((uuid) => uuids.includes(uuid)) || one.fstypes?.includes(fstype))?.name;
}

/**
 * Refuses to touch a device that is mounted or, unless the operator switched that off, holds a shared file system.
 * @param family the device and everything on it
 * @throws AgentError `ProtectedDeviceError`
 */
export function guardDevice(family: readonly Block[], options: { allowShared: boolean }): void {
  const [device] = family;
  if (!device) return;
  const mounted = family.find(({ mountpoint }) => mountpoint !== null && mountpoint !== '');
  if (mounted)
    throw new AgentError(
      'ProtectedDeviceError',
      `cannot change /dev/${device.kname}: /dev/${mounted.kname} is mounted at ${mounted.mountpoint}`,
    );
  if (options.allowShared) return;
  const shared = family.find((block) => sharedFilesystem(block) !== undefined);
  if (shared)
    throw new AgentError(
      'ProtectedDeviceError',
      `cannot change /dev/${device.kname}: /dev/${shared.kname} has a shared ${sharedFilesystem(shared)} file system, which other machines may use; to erase it nevertheless boot with ipa-guard-special-filesystems=false`,
    );
}
