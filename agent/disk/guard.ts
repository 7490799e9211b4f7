import { AgentError } from '../api/errors.ts';
import type { Block } from '../hardware/lsblk.ts';
import { CONTENT_GROUPS } from './contents.ts';
import type { ExaminedDisk } from './examine.ts';

export type ContentGroup = (typeof CONTENT_GROUPS)[number];

/**
 * Why a disk is not to be changed. `leave`: it is not the node's to give away, or the operator said so; work goes on with the other
 * disks. `refuse`: somebody expects it to be changed and must be told that it was not.
 */
const CODES = {
  'skip-listed': 'leave',
  'virtual-media': 'leave',
  mounted: 'refuse',
  swap: 'refuse',
  held: 'refuse',
  'read-only': 'refuse',
  'shared-filesystem': 'refuse',
  contents: 'refuse',
  removable: 'refuse',
  unreadable: 'refuse',
} as const satisfies Record<string, 'leave' | 'refuse'>;
export type GuardCode = keyof typeof CODES;

export type GuardReason = {
  code: GuardCode;
  verdict: 'leave' | 'refuse';
  /** `/dev/sda2`: the device that is protected, which may be a partition or volume of the disk. */
  device: string;
  /** A sentence without its full stop: `/dev/sda2 is mounted at /data`. */
  text: string;
  /** What the operator may do to have the disk changed all the same. */
  remedy: string;
};

export type GuardOptions = {
  /** Paths of disks that the node's skip_block_devices names. */
  skipped: ReadonlySet<string>;
  /** Keep file systems that other machines may be using (ipa-guard-special-filesystems). */
  guardShared: boolean;
  /** What else is kept when it is found on a disk (ingot-guard-contents). */
  guardContents: readonly ContentGroup[];
  /** Keep removable disks. */
  guardRemovable: boolean;
};

/** The settings that a guard goes by, as the agent's configuration has them. */
export type GuardSettings = {
  guardSpecialFilesystems: boolean;
  guardContents: readonly ContentGroup[];
  guardRemovable: boolean;
};

/** @param skipped see `GuardOptions` */
export function guardOptions(settings: GuardSettings, skipped: ReadonlySet<string>): GuardOptions {
  const { guardSpecialFilesystems: guardShared, guardContents, guardRemovable } = settings;
  return { skipped, guardShared, guardContents, guardRemovable };
}

/** Shared file systems that lsblk or the partition table name (agent-protocol F.5); the others `contents.ts` finds. */
const SHARED: readonly { name: string; uuids?: readonly string[]; fstypes?: readonly string[] }[] = [
  { name: 'GPFS', uuids: ['37affc90-ef7d-4e96-91c3-2d7ae055b174'], fstypes: ['gpfs'] },
  {
    name: 'VMFS',
    // The second one is the type of a partition in an MBR.
    uuids: ['aa31e02a-400f-11db-9590-000c2911d1b8', '0xfb'],
    fstypes: ['vmfs', 'vmfs_volume_member'],
  },
  { name: 'GFS2', fstypes: ['gfs2', 'gfs'] },
  { name: 'OCFS2', fstypes: ['ocfs2', 'ocfs'] },
];

/** The same for what is kept on request, by the types that libblkid gives. */
const FSTYPES: Readonly<Record<ContentGroup, readonly string[]>> = {
  lvm: ['lvm1_member', 'lvm2_member'],
  zfs: ['zfs_member'],
  ceph: ['ceph_bluestore'],
  luks: ['crypto_luks'],
  bcache: ['bcache', 'bcache_plain'],
  oracleasm: ['oracleasm'],
};

/** The shared file system that a device has by what lsblk says. lsblk writes UUIDs in lower case, others in upper. */
export function sharedFilesystem(block: Block): string | undefined {
  const uuids = [block.uuid, block.ptuuid, block.parttype, block.partuuid].map((value) => value?.toLowerCase() ?? '');
  const fstype = block.fstype?.toLowerCase() ?? '';
  return SHARED.find((one) => one.uuids?.some((uuid) => uuids.includes(uuid)) || one.fstypes?.includes(fstype))?.name;
}

type Finding = Omit<GuardReason, 'verdict' | 'device'> & { kname: string };

function uses({ uses: found, family }: ExaminedDisk): Finding[] {
  const remedy = 'unmount it, or restart the machine into a fresh ramdisk';
  const seen = new Set(found.map(({ kname }) => kname));
  const fromLsblk = family.filter(({ kname, mountpoint }) => mountpoint && !seen.has(kname));
  // A btrfs over several devices is mounted by one of them.
  const mounted = family.filter(({ kname }) => seen.has(kname)).map(({ uuid, fstype }) => `${fstype} ${uuid}`);
  const siblings = family.filter(
    (block) => block.fstype === 'btrfs' && !seen.has(block.kname) && mounted.includes(`btrfs ${block.uuid}`),
  );
  return [
    ...found.map((use) => ({ ...use, remedy })),
    ...fromLsblk.map(({ kname, mountpoint }) => ({
      kname,
      code: mountpoint === '[SWAP]' ? ('swap' as const) : ('mounted' as const),
      text: mountpoint === '[SWAP]' ? 'is swapped to' : `is mounted at ${mountpoint}`,
      remedy,
    })),
    ...siblings.map(({ kname }) => ({ kname, code: 'mounted' as const, text: 'is part of a mounted btrfs', remedy })),
  ];
}

/** Whatever stands on the disk and is no partition holds it: arrays, volumes, encryption, multipath of somebody else's. */
function holders({ family, kname, paths }: ExaminedDisk): Finding[] {
  return family
    .filter((block) => block.kname !== kname && !paths.includes(block.kname) && block.type !== 'part')
    .map((block) => ({
      kname: block.pkname ?? kname,
      code: 'held' as const,
      text: `is held by /dev/${block.kname} (${block.type}${block.label ? ` ${block.label}` : ''})`,
      remedy: `stop /dev/${block.kname} first`,
    }));
}

function shared(disk: ExaminedDisk): Finding[] {
  const named = disk.family.flatMap((block) => {
    const name = sharedFilesystem(block);
    return name === undefined ? [] : [{ kname: block.kname, name }];
  });
  const found = disk.contents.filter(({ group }) => group === 'shared');
  const devices = new Map([...found, ...named].map(({ kname, name }) => [kname, name]));
  return [...devices].map(([kname, name]) => ({
    kname,
    code: 'shared-filesystem' as const,
    text: `has a shared ${name} file system, which other machines may use`,
    remedy: 'boot with ipa-guard-special-filesystems=false to have it erased nevertheless',
  }));
}

function contents(disk: ExaminedDisk, groups: readonly ContentGroup[]): Finding[] {
  return groups.flatMap((group) => {
    const read = disk.contents.filter((one) => one.group === group).map(({ kname, name }) => ({ kname, name }));
    const named = disk.family
      .filter(({ fstype }) => FSTYPES[group].includes(fstype?.toLowerCase() ?? ''))
      .map(({ kname, fstype }) => ({ kname, name: String(fstype) }));
    return [...new Map([...named, ...read].map((one) => [one.kname, one.name]))].map(([kname, name]) => ({
      kname,
      code: 'contents' as const,
      text: `has ${name} on it, which ingot-guard-contents keeps`,
      remedy: `take ${group} out of ingot-guard-contents to have it erased`,
    }));
  });
}

function ofDiskItself(disk: ExaminedDisk, options: GuardOptions): Finding[] {
  const { kname } = disk;
  const found: Finding[] = [];
  if (options.skipped.has(disk.disk.name))
    found.push({
      kname,
      code: 'skip-listed',
      text: "is named by the node's skip_block_devices",
      remedy: 'take it out of skip_block_devices',
    });
  if (disk.virtualMedia !== undefined)
    found.push({
      kname,
      code: 'virtual-media',
      text: `is virtual media: ${disk.virtualMedia}`,
      remedy: 'eject it at the BMC',
    });
  const readOnly = disk.family.find(({ ro, type, kname: name }) => ro && (name === kname || type === 'part'));
  if (readOnly)
    found.push({
      kname: readOnly.kname,
      code: 'read-only',
      text: 'is read-only',
      remedy: 'see whether a switch, its controller or its firmware protects it',
    });
  if (options.guardRemovable && disk.isRemovable)
    found.push({
      kname,
      code: 'removable',
      text: 'is removable',
      remedy: 'take it out of the machine, name it in skip_block_devices, or boot with ingot-guard-removable=false',
    });
  return found;
}

/** What could not be read may be anything; without a guard of contents, or where something else protects it, it does not matter. */
function unreadable(disk: ExaminedDisk, options: GuardOptions, found: readonly Finding[]): Finding[] {
  if (!options.guardShared && options.guardContents.length === 0) return [];
  const unknown = disk.unreadable.filter(({ kname }) => !found.some((one) => one.kname === kname));
  return unknown.map(({ kname, why }) => ({
    kname,
    code: 'unreadable' as const,
    text: `cannot be looked into for a shared file system: ${why}`,
    remedy: 'boot with ipa-guard-special-filesystems=false to have it changed unseen',
  }));
}

/**
 * Everything that speaks against changing a disk: on the disk itself, its partitions and all that stands on them.
 * @returns no reasons when it may be changed; all of them otherwise, the operator's own first
 */
export function guardDisk(disk: ExaminedDisk, options: GuardOptions): GuardReason[] {
  const found = [
    ...ofDiskItself(disk, options),
    ...uses(disk),
    ...holders(disk),
    ...(options.guardShared ? shared(disk) : []),
    ...contents(disk, options.guardContents),
  ];
  const unique = new Map(
    [...found, ...unreadable(disk, options, found)].map((one) => [`${one.code} ${one.kname} ${one.text}`, one]),
  );
  return [...unique.values()].map(({ kname, text, code, remedy }) => ({
    code,
    verdict: CODES[code],
    device: `/dev/${kname}`,
    text: `/dev/${kname} ${text}`,
    remedy,
  }));
}

/** Why a disk is no business of a step that works on all disks; undefined where it is one. */
export function leftAlone(disk: ExaminedDisk, options: GuardOptions): GuardReason | undefined {
  return guardDisk(disk, options).find(({ verdict }) => verdict === 'leave');
}

/**
 * Refuses to change a disk that is guarded.
 * @throws AgentError `ProtectedDeviceError` with all that it was saved for
 */
export function refuseGuarded(disk: ExaminedDisk, options: GuardOptions): void {
  const reasons = guardDisk(disk, options);
  if (reasons.length === 0) return;
  const remedies = [...new Set(reasons.map(({ remedy }) => remedy))].join('; ');
  throw new AgentError(
    'ProtectedDeviceError',
    `cannot change ${disk.disk.name}: ${reasons.map(({ text }) => text).join(', ')}; ${remedies}`,
  );
}
