import type { KnownDifference } from './compare.ts';

const STEPS = String.raw`_steps\.GenericHardwareManager\.`;

/** Where this agent answers otherwise than ironic-python-agent 10.2, and why. Anything else that differs fails the replay. */
export const FROM_IPA: readonly KnownDifference[] = [
  {
    where: /heartbeat\/UUID body\.agent_verify_ca$/,
    what: ['extra'],
    why: 'recorded with enable_auto_tls=false, so that the proxy could read along; this agent was started with TLS',
  },
  {
    where: /answer(\.commands\.\d+)?\.progress$/,
    what: ['extra'],
    why: 'how far a running command is; Ironic reads only the fields that it knows',
  },
  {
    where: new RegExp(`${STEPS}\\w+\\.abortable$`),
    what: ['extra'],
    why: 'said for steps of deployments, too; Ironic takes a missing one for false and asks only for clean and service steps',
  },
  {
    where: new RegExp(
      `${STEPS}(write_image|execute_bootc_install|erase_devices\\w*|(create|delete)_configuration)\\.argsinfo$`,
    ),
    what: ['extra'],
    why: 'IPA documents none of its arguments; Ironic checks those of steps that a user names against it',
  },
  {
    where: new RegExp(`${STEPS}apply_configuration\\.argsinfo\\.dry_run$`),
    what: ['extra'],
    why: 'an argument more than IPA has; nobody has to give it',
  },
  {
    where: /^7 GET \/v1\/commands\/ answer\.commands\.1\.command_result\.clean_result$/,
    what: ['type'],
    why: 'of erase_devices_metadata: the evidence of what was done to each disk, where IPA has nothing; Ironic looks at the result of no such step',
  },
  {
    where: new RegExp(`${STEPS}burnin_gpu$`),
    what: ['missing'],
    why: 'steps that this agent does not have: Ironic asks for those that are in the list',
  },
  {
    where: new RegExp(`${STEPS}\\w+\\.argsinfo\\.\\w+\\.description$`),
    what: ['value'],
    why: 'what an argument is for, said in other words; people read it',
  },
  {
    where: /body\.(inventory\.disks\.\d+|root_disk)\.tran$/,
    what: ['extra'],
    why: 'how the disk is attached, as later versions of IPA have it',
  },
  {
    where: /continue_inspection body\.ingot$/,
    what: ['extra'],
    why: 'memory modules, accelerators, TPM and firmware versions: Ironic stores unknown keys, and none of its hooks reads this one',
  },
  {
    where: /body\.inventory\.bmc_mac$/,
    what: ['missing'],
    why: 'left out where it is not known, as IPA does when the BMC was not asked; readers take both alike',
  },
  {
    where: /^9 POST \/v1\/commands\/\?wait=true answer\.faultstring$/,
    what: ['value'],
    why: "after the fixed words come the JSON parser's own; they never repeat the body, which may hold secrets",
  },
  {
    where: /^15 .* (status|answer\.\w+)$/,
    what: ['value', 'missing', 'extra'],
    why: 'IPA cannot serialise its own TypeError and answers 500, for this command and every later list; here it is a FAILED command of type TypeError, the sign by which Ironic knows an agent that lacks a parameter',
  },
  {
    where: /^16 .* (status|answer\.\w+)$/,
    what: ['value', 'missing', 'extra'],
    why: 'a node without uuid is refused before the step starts; IPA takes the step and it fails with details "\'uuid\'"',
  },
];

/** Where this agent may differ from recordings of itself that are older. */
export const FROM_OLDER: readonly KnownDifference[] = [
  {
    where: /\.progress$/,
    what: ['missing', 'extra'],
    why: 'how far a command is depends on the moment',
  },
  {
    where: new RegExp(`${STEPS}\\w+$`),
    what: ['extra'],
    why: 'steps that came later',
  },
  {
    where: new RegExp(`${STEPS}\\w+\\.argsinfo(\\.\\w+)?$`),
    what: ['extra'],
    why: 'arguments that came later; nobody has to give them',
  },
  {
    where: /body(\.\w+)*\.\w+$/,
    what: ['extra'],
    why: 'what later agents say of the machine beside what is there',
  },
];
