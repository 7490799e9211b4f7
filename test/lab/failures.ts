import { defineFailures } from '../../system/failure.ts';

export const labFailure = defineFailures({
  NO_PLATFORM: {
    message: (detail) => `cannot make a user image for ${detail}: the lab has no row for it`,
    exitCode: 2,
  },
  MACHINE_NOT_STARTED: {
    message: (detail) => `cannot start the virtual machine ${detail}`,
    hint: 'the last lines of qemu.log in its folder say more',
  },
  MACHINE_OFF: { message: (detail) => `cannot ${detail}: the virtual machine is off` },
  MONITOR: { message: (detail) => `cannot talk to QEMU's monitor: ${detail}` },
  USER_IMAGE: {
    message: (detail) => `cannot make the user image: ${detail}`,
    hint: 'the mirror must carry Debian trixie; as an ordinary user, mmdebstrap needs the package uidmap',
  },
  CONSOLE_SILENT: { message: (detail) => `cannot find on the serial console ${detail}` },
  SSH_TIMEOUT: { message: (detail) => `cannot log in over SSH: ${detail}` },
});
