import { defineFailures } from '../../system/failure.ts';

export const cliFailure = defineFailures({
  CONDUCTOR_UNREACHABLE: {
    message: (detail) => `cannot reach the conductor at ${detail}`,
    hint: 'start it with ingot conductor, or say where it is with --api URL or INGOT_API',
    exitCode: 3,
  },
  CONDUCTOR_ANSWER: {
    message: (detail) => `cannot understand the conductor: ${detail}`,
    hint: 'check that --api is the address of an ingot conductor or of Ironic',
    exitCode: 3,
  },
  REFUSED: { message: (detail) => detail },
  FLOW_FAILED: { message: (detail) => detail },
  WAIT_TIMEOUT: {
    message: (detail) => `cannot wait any longer: ${detail}`,
    hint: 'the conductor goes on; ingot node show tells how far it is',
    exitCode: 4,
  },
  FILE_UNUSABLE: { message: (detail) => `cannot use ${detail}` },
  IMAGE_NOT_SERVED: { message: (detail) => `cannot serve the image ${detail}` },
  CONDUCTOR_START: { message: (detail) => `cannot start the conductor: ${detail}` },
});
