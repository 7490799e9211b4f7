import { defineFailures } from '../../../system/failure.ts';

export const interopFailure = defineFailures({
  IRONIC_TREE: {
    message: (detail) => `cannot make Ironic's tree of Debian packages: ${detail}`,
    hint: 'the mirror must carry Debian trixie; as an ordinary user, mmdebstrap needs the package uidmap',
  },
  IRONIC_NOT_UP: {
    message: (detail) => `cannot start Ironic: ${detail}`,
    hint: "ironic.log in the run's folder has its own words",
  },
  CLIENT: { message: (detail) => `the client says: ${detail}` },
  NODE_STATE: { message: (detail) => `the node is not as it should be: ${detail}` },
  CELL: {
    message: (detail) => `cannot run in namespaces of its own: ${detail}`,
    hint: 'the log lines above say what failed in there',
  },
});
