import type { World } from './world.ts';
import { deployQcow2, deployRaw, undeploy } from './flows/deploy.ts';
import { inspect, manage } from './flows/inspect.ts';
import { rescue } from './flows/rescue.ts';
import { service } from './flows/service.ts';
import { clean } from './flows/clean.ts';

/** What a flow found out, for the report. */
export type Facts = Readonly<Record<string, string | number | boolean>>;

/** Stable states of Ironic's machine between flows. */
type State = 'enroll' | 'manageable' | 'available' | 'active';

export type Flow = {
  /** Where the node has to be, and where it is afterwards. */
  from: State;
  to: State;
  /** For people: what it shows when it passes. */
  proves: string;
  run: (world: World) => Promise<Facts>;
};

export const FLOWS = {
  manage: {
    from: 'enroll',
    to: 'manageable',
    proves: 'Ironic reaches the BMC and takes the node over',
    run: manage,
  },
  inspect: {
    from: 'manageable',
    to: 'manageable',
    proves: "the ramdisk boots from Ironic's own iPXE script, posts its inventory, and all hooks store it",
    run: inspect,
  },
  clean: {
    from: 'manageable',
    to: 'available',
    proves: 'lookup, token, TLS, heartbeats and a step on each disk: what was on them is gone',
    run: clean,
  },
  'deploy-qcow2': {
    from: 'available',
    to: 'active',
    proves:
      'a qcow2 with more virtual size than the machine has memory; the system on it boots, has its config drive and answers over SSH',
    run: deployQcow2,
  },
  rescue: {
    from: 'active',
    to: 'active',
    proves: 'the rescue user is let in with the password, sees the disk, and the system comes back afterwards',
    run: rescue,
  },
  service: {
    from: 'active',
    to: 'active',
    proves: 'a step of a plug-in in a machine that is in use, and back to its system',
    run: service,
  },
  undeploy: {
    from: 'active',
    to: 'available',
    proves: 'the machine goes back, and is cleaned again',
    run: undeploy,
  },
  'deploy-raw': {
    from: 'available',
    to: 'active',
    proves: 'the same with a raw image, streamed',
    run: deployRaw,
  },
} as const satisfies Record<string, Flow>;

export type FlowName = keyof typeof FLOWS;
export const FLOW_NAMES = Object.keys(FLOWS) as FlowName[];

/** What leads from a state to another when nothing else was asked for. */
const WAY: Readonly<Record<State, FlowName>> = {
  enroll: 'manage',
  manageable: 'clean',
  available: 'deploy-qcow2',
  active: 'undeploy',
};

/**
 * The flows to run, in the table's order, with those in between that bring the node to where each begins.
 * @param chosen names; the table's order counts, not theirs
 */
export function planFlows(chosen: readonly FlowName[]): FlowName[] {
  const plan: FlowName[] = [];
  let state: State = 'enroll';
  const add = (name: FlowName) => {
    plan.push(name);
    state = FLOWS[name].to;
  };
  for (const name of FLOW_NAMES.filter((one) => chosen.includes(one))) {
    if (plan.includes(name)) continue; // it was on the way
    while (state !== FLOWS[name].from) add(WAY[state]);
    add(name);
  }
  return plan;
}
