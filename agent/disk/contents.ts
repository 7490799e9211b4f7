import type { BlockDevice } from '../os/door.ts';

/** Names for the setting that guards what is not shared. */
export const CONTENT_GROUPS = ['lvm', 'zfs', 'ceph', 'luks', 'bcache', 'oracleasm'] as const;

/** What a device was found to hold. `shared`: other machines may be using it at this moment. */
export type Content = { name: string; group: 'shared' | (typeof CONTENT_GROUPS)[number] };

/** Bytes at a place: `at` from the device's start, or its end when negative. */
type Mark = { at: number; bytes: Buffer };
type Recogniser = Content & {
  /** Any of these is enough. */
  marks: readonly Mark[];
};

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');
const KIB = 1024;
const MIB = 1024 ** 2;

/** ZFS writes a ring of uberblocks into each of its labels (`vdev_impl.h`): 128 KiB into a label, at every KiB at most. */
const UBERBLOCK = [hex('0cb1ba0000000000'), hex('0000000000bab10c')];
const uberblocks = (label: number): Mark[] =>
  Array.from({ length: 128 }, (_, index) => label + 128 * KIB + index * KIB).flatMap((at) =>
    UBERBLOCK.map((bytes) => ({ at, bytes })),
  );

/**
 * Signatures, each with where it is documented. The kernel and libblkid know most of them, too; the agent looks itself because lsblk
 * only repeats what udev read at boot, and because libblkid calls a device with two signatures ambivalent and says nothing at all.
 */
const RECOGNISERS: readonly Recogniser[] = [
  // VMware publishes no format; libblkid `vmfs.c` and vmfs-tools `vmfs_volume.h`, `vmfs_fs.h`: magics 0xc001d00d at 1 MiB and 0x2fabf15e at 2 MiB.
  { name: 'VMFS volume', group: 'shared', marks: [{ at: MIB, bytes: hex('0dd001c0') }] },
  { name: 'VMFS', group: 'shared', marks: [{ at: 2 * MIB, bytes: hex('5ef1ab2f') }] },
  // Kernel `fs/ocfs2/ocfs2_fs.h`: OCFS2_SUPER_BLOCK_BLKNO 2, whatever the block size (512 to 4096).
  {
    name: 'OCFS2',
    group: 'shared',
    marks: [1, 2, 4, 8].map((kib) => ({ at: kib * KIB, bytes: ascii('OCFSV2') })),
  },
  // Kernel `include/uapi/linux/gfs2_ondisk.h`: GFS2_MAGIC, then GFS2_METATYPE_SB, both big-endian, at GFS2_SB_ADDR 128 (of 512 bytes).
  { name: 'GFS2', group: 'shared', marks: [{ at: 64 * KIB, bytes: hex('01161970 00000001') }] },
  // LVM2 `format_text/layout.h`, `label/label.c`: a label in one of the first four sectors.
  {
    name: 'LVM physical volume',
    group: 'lvm',
    marks: [0, 512, 1024, 1536].map((at) => ({ at, bytes: ascii('LABELONE') })),
  },
  // cryptsetup's on-disk format documents, LUKS1 2.1 and LUKS2 2.1; the secondary header of LUKS2 has its own magic.
  {
    name: 'LUKS',
    group: 'luks',
    marks: [
      { at: 0, bytes: hex('4c554b53babe') },
      ...[16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map((kib) => ({ at: kib * KIB, bytes: hex('534b554cbabe') })),
    ],
  },
  // Ceph `src/os/bluestore/bluestore_types.h`: the label that ceph-volume writes.
  { name: 'Ceph BlueStore', group: 'ceph', marks: [{ at: 0, bytes: ascii('bluestore block device') }] },
  { name: 'ZFS', group: 'zfs', marks: [0, 256 * KIB, -256 * KIB, -512 * KIB].flatMap(uberblocks) },
  // Kernel `drivers/md/bcache/bcache_ondisk.h`: SB_SECTOR 8, magic after checksum, offset and version.
  { name: 'bcache', group: 'bcache', marks: [{ at: 4096 + 24, bytes: hex('c68573f64e1a45ca8265f57f48ba6d81') }] },
  // Oracle ASMLib and libblkid `oracleasm.c`.
  { name: 'Oracle ASM', group: 'oracleasm', marks: [{ at: 32, bytes: ascii('ORCLDISK') }] },
];

/** The parts of a device that signatures are in, few and large: each read of a slow disk costs. */
const WINDOW_BYTES = 512 * KIB;
const FURTHER = [512 * KIB, MIB, 2 * MIB, 4 * MIB];
const SMALL_WINDOW_BYTES = 4 * KIB;

type Window = { start: number; bytes: Buffer };

async function readWindows(device: BlockDevice): Promise<Window[]> {
  const { sizeBytes, sectorBytes } = device;
  const end = sizeBytes - (sizeBytes % (256 * KIB));
  const wanted = [
    { start: 0, length: WINDOW_BYTES },
    ...FURTHER.map((start) => ({ start, length: SMALL_WINDOW_BYTES })),
    // ZFS aligns its last labels to 256 KiB.
    { start: Math.max(0, end - WINDOW_BYTES), length: WINDOW_BYTES },
  ];
  const windows: Window[] = [];
  for (const { start, length } of wanted) {
    const usable = Math.min(length, sizeBytes - start);
    const whole = usable - (usable % sectorBytes);
    if (whole <= 0) continue;
    const bytes = Buffer.alloc(whole);
    await device.read(bytes, start);
    windows.push({ start, bytes });
  }
  return windows;
}

function has(windows: readonly Window[], { at, bytes }: Mark, sizeBytes: number): boolean {
  const position = at < 0 ? sizeBytes - (sizeBytes % (256 * KIB)) + at : at;
  return windows.some(({ start, bytes: window }) => {
    const offset = position - start;
    return (
      offset >= 0 &&
      offset + bytes.length <= window.length &&
      window.subarray(offset, offset + bytes.length).equals(bytes)
    );
  });
}

/**
 * Reads what is on an open device: file systems that machines share, volumes, encryption.
 * @throws AgentError `BlockDeviceError` when it cannot be read
 */
export async function readContents(device: BlockDevice): Promise<Content[]> {
  const windows = await readWindows(device);
  return RECOGNISERS.filter(({ marks }) => marks.some((mark) => has(windows, mark, device.sizeBytes))).map(
    ({ name, group }) => ({ name, group }),
  );
}
