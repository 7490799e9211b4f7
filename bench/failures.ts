import { defineFailures } from '../system/failure.ts';

export const benchFailure = defineFailures({
  NO_SERVER: { message: (detail) => `cannot start the web server of the bench: ${detail}` },
  NO_AGENT: { message: (detail) => `cannot start the agent as the ramdisk does: ${detail}` },
  PEER_RAMDISK: {
    message: (detail) => `cannot make the ramdisk with ironic-python-agent: ${detail}`,
    hint: 'the mirror must carry Debian trixie; as an ordinary user, mmdebstrap needs the package uidmap',
  },
});
