import { defineFailures } from '../system/failure.ts';

export const machineFailure = defineFailures({
  NO_MACHINE: {
    message: (detail) => `cannot emulate a machine of architecture ${detail}: there is no row for it in arch/qemu.ts`,
    exitCode: 2,
  },
  MACHINE_ENDED: { message: (detail) => `cannot run the virtual machine: QEMU ${detail}` },
  DISK_UNUSABLE: {
    message: (detail) => `cannot use ${detail}`,
    hint: 'a disk is a file (raw or qcow2), or a size such as 4G for an empty one that vanishes in the end',
    exitCode: 2,
  },
});
