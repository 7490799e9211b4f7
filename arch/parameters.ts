/**
 * Kernel parameter that every way of starting a ramdisk gives. The kernel unpacks it into a tmpfs of at most half of the memory, and
 * panics when that is too little; a ramfs has no such limit (init/do_mounts.c, `init_rootfs`). It is what lets a ramdisk of 175 MB
 * start in 512 MiB.
 */
export const ROOT_IN_MEMORY = 'rootfstype=ramfs';
