/** One phase of a build: the hooks of all elements in `<name>.d` run together, in order. */
export type Phase = {
  name: string;
  /** Inside the tree that is being built, or beside it. */
  place: 'image' | 'host';
  /** Whether its hooks find the tree as TARGET_ROOT, as well as by TMP_MOUNT_PATH. */
  targetRoot: boolean;
};

/** In the order in which they run. What diskimage-builder does with disks between post-root and pre-finalise has no place here. */
export const PHASES: readonly Phase[] = [
  { name: 'root', place: 'host', targetRoot: true },
  { name: 'extra-data', place: 'host', targetRoot: false },
  { name: 'pre-install', place: 'image', targetRoot: false },
  { name: 'install', place: 'image', targetRoot: false },
  { name: 'post-install', place: 'image', targetRoot: false },
  { name: 'post-root', place: 'host', targetRoot: false },
  { name: 'pre-finalise', place: 'host', targetRoot: false },
  { name: 'finalise', place: 'image', targetRoot: false },
  { name: 'cleanup', place: 'host', targetRoot: true },
];

/** Folders of an element that a ramdisk has no use for, and why. */
export const UNSUPPORTED_FOLDERS: Readonly<Record<string, string>> = {
  'init.d': 'it is read only by ramdisk-image-create, whose ramdisks were given up for the agent',
  'udev.d': 'it is read only by ramdisk-image-create',
  'binary-deps.d': 'it is read only by ramdisk-image-create',
  'ramdisk-install.d': 'it is read only by ramdisk-image-create',
  'block-device.d': 'a ramdisk has no disk of its own',
};

/** Folders of an element that are for its own tests. */
export const IGNORED_FOLDERS: readonly string[] = ['tests', 'test-elements', '__pycache__'];
