import { defineFailures } from '../../system/failure.ts';

/** What can go wrong on the way of a node. These texts become a node's `last_error`. */
export const driveFailure = defineFailures({
  NODE_LOCKED: {
    message: (detail) => `cannot change node ${detail}`,
    hint: 'wait until it is done, and try again',
  },
  STATE_REFUSES: { message: (detail) => `cannot ${detail}` },
  DEPLOY_REQUEST: { message: (detail) => `cannot deploy: ${detail}` },
  CLEAN_REQUEST: { message: (detail) => `cannot clean: ${detail}` },
  POWER_REQUEST: { message: (detail) => `cannot change the power: ${detail}` },
  RAMDISK_MISSING: {
    message: (detail) => `cannot boot the ramdisk: ${detail}`,
    hint: 'build one with build-ramdisk, and give it to ingot conductor with --deploy-kernel and --deploy-ramdisk',
  },
  CALLBACK_TIMEOUT: { message: (detail) => `cannot go on: ${detail}` },
  ABORTED: { message: (detail) => `cannot go on: ${detail} was aborted by request` },
  AGENT_UNREACHABLE: {
    message: (detail) => `cannot reach the agent at ${detail}`,
    hint: 'check that the conductor can open a connection to that address and port (firewall, ipa-advertise-host)',
  },
  AGENT_CERTIFICATE: {
    message: (detail) => `cannot trust the agent at ${detail}`,
    hint: 'something else answers there than the agent that sent the heartbeat, or the clocks differ by more than an hour',
  },
  AGENT_BUSY: { message: (detail) => `cannot give the agent a command: ${detail}` },
  AGENT_REFUSED: { message: (detail) => `cannot run ${detail}` },
  AGENT_ANSWER: {
    message: (detail) => `cannot understand the agent: ${detail}`,
    hint: 'check that ramdisk and conductor fit together',
  },
  EVIDENCE: {
    message: (detail) => `cannot take the disks for erased: the agent's evidence is not valid: ${detail}`,
    hint: 'its records are in the archive of logs, evidence.jsonl',
  },
  STEP_FAILED: { message: (detail) => `cannot finish ${detail}` },
  STEP_LOST: {
    message: (detail) =>
      `cannot finish ${detail}: the agent does not know of it any more, so its machine was restarted in the middle`,
    hint: "look at the machine's console and power; then try again",
  },
  POWER_LOST: {
    message: (detail) => `cannot finish ${detail}: the machine has lost its power in the middle, again and again`,
    hint: "look at the machine's power; a cleaning that is started anew goes on where this one was",
  },
  VERSION_CHANGES: {
    message: (detail) => `cannot finish ${detail}: the agent's hardware managers keep changing their versions`,
  },
  INSPECTION_FAILED: { message: (detail) => `cannot inspect: ${detail}` },
  CONFIGDRIVE: { message: (detail) => `cannot make the config drive: ${detail}` },
  LOOKUP_NOT_FOUND: { message: (detail) => `cannot look up a node: ${detail}` },
  LOOKUP_REQUEST: { message: (detail) => `cannot look up a node: ${detail}` },
  HEARTBEAT_REFUSED: { message: (detail) => `cannot take the heartbeat: ${detail}` },
});
