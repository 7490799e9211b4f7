import { expect, test } from 'vitest';

import { refuseUnlessAllowed } from '../../../conductor/drive/node-change.ts';
import {
  allowedVerbs,
  EVENTS,
  LOOKUP_STATES,
  nextState,
  PROVISION_STATES,
  type ProvisionState,
  STATE_KINDS,
  TRANSITIONS,
  VERB_TARGETS,
  VERBS,
} from '../../../conductor/states/table.ts';

function reachable(from: ProvisionState): Set<ProvisionState> {
  const seen = new Set<ProvisionState>([from]);
  for (const state of seen) for (const next of Object.values(TRANSITIONS[state])) seen.add(next);
  return seen;
}

test('every state can be reached from enroll', () => {
  // error is entered only when something breaks on the way out of active.
  expect([...reachable('enroll')].toSorted()).toEqual([...PROVISION_STATES].toSorted());
});

test('no state is a dead end: from each, active and available can be reached', () => {
  const stuck = PROVISION_STATES.filter(
    (state) => !reachable(state).has('active') || !reachable(state).has('available'),
  );
  expect(stuck).toEqual([]);
});

const PAIRS = PROVISION_STATES.flatMap((state) => EVENTS.map((event) => [state, event] as const));
const REFUSED = PAIRS.filter(([state, event]) => nextState(state, event) === undefined);

test('every event in every state is an arrow to a state, or refused', () => {
  const arrows = PAIRS.flatMap(([state, event]) => nextState(state, event) ?? []);
  expect(arrows.filter((state) => !PROVISION_STATES.includes(state))).toEqual([]);
  expect(arrows.length + REFUSED.length).toBe(PAIRS.length);
});

test.each(REFUSED)('in "%s" a %s is refused, and told what can be done instead', (state, event) => {
  const node = { uuid: 'u', name: 'n1', provision_state: state } as never;
  const allowed = allowedVerbs(state);
  const hint =
    allowed.length > 0 ? `from here it can: ${allowed.join(', ')}` : 'wait until it has finished what it is at';
  expect(() => refuseUnlessAllowed(node, event)).toThrow(
    expect.objectContaining({ message: `cannot ${event} node n1 while it is in state "${state}"`, hint }) as Error,
  );
});

test('what works or waits can fail, and then rests; what rests cannot', () => {
  const isAtWork = (state: ProvisionState) => ['working', 'waiting'].includes(STATE_KINDS[state]);
  const failing = PROVISION_STATES.filter((state) => nextState(state, 'fail') !== undefined);
  expect(failing).toEqual(PROVISION_STATES.filter((state) => isAtWork(state)));
  expect(failing.filter((state) => isAtWork(nextState(state, 'fail') ?? state))).toEqual([]);
});

test('a state that waits goes on with resume, comes back with wait, and can be ended by an operator', () => {
  for (const state of PROVISION_STATES.filter((one) => STATE_KINDS[one] === 'waiting')) {
    const working = nextState(state, 'resume');
    expect(working === undefined ? undefined : STATE_KINDS[working]).toBe('working');
    expect(nextState(working ?? state, 'wait')).toBe(state);
    expect(nextState(state, 'abort')).toBe(nextState(state, 'fail'));
    expect(LOOKUP_STATES).toContain(state);
  }
});

test('operators cannot interrupt what the conductor itself is doing', () => {
  for (const state of PROVISION_STATES.filter((one) => STATE_KINDS[one] === 'working')) {
    // manage and clean are also what ends a manual cleaning and an undeployment: the conductor sends them itself.
    expect(allowedVerbs(state).filter((verb) => verb !== 'manage' && verb !== 'clean')).toEqual([]);
  }
});

test('each verb can be used somewhere and has a target that it can reach', () => {
  for (const verb of VERBS) {
    const states = PROVISION_STATES.filter((state) => nextState(state, verb) !== undefined);
    expect(states).not.toEqual([]);
    const target = VERB_TARGETS[verb];
    expect(states.filter((state) => target !== null && !reachable(state).has(target))).toEqual([]);
  }
});
