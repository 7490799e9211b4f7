/**
 * Ironic's provision states (Ironic `common/states.py`), as far as this conductor goes through them. The names are on the wire.
 */
export const PROVISION_STATES = [
  'enroll',
  'verifying',
  'manageable',
  'inspecting',
  'inspect wait',
  'inspect failed',
  'available',
  'cleaning',
  'clean wait',
  'clean failed',
  'deploying',
  'wait call-back',
  'deploy failed',
  'active',
  'deleting',
  'error',
] as const;
export type ProvisionState = (typeof PROVISION_STATES)[number];

/** What an operator may ask for: the `target` of `PUT /v1/nodes/{node}/states/provision`. */
export const VERBS = ['manage', 'provide', 'inspect', 'clean', 'active', 'rebuild', 'deleted', 'abort'] as const;
export type Verb = (typeof VERBS)[number];

/** What the conductor itself finds out. `manage` after `cleaning` ends a manual cleaning, `clean` follows `deleting`. */
export const EVENTS = [...VERBS, 'done', 'wait', 'resume', 'fail'] as const;
export type ProvisionEvent = (typeof EVENTS)[number];

/**
 * One row a state, one arrow an entry; an event that is not in a state's row is refused there.
 *
 * ```
 *   enroll ──manage──► verifying ──done──► manageable ◄──────────────┐
 *      ▲                 │ fail              │  │  │ inspect         │ manage
 *      └─────────────────┘                   │  │  ▼                 │
 *                                            │  │ inspecting ⇄ inspect wait ──► inspect failed
 *                        provide (automated) │  │ clean (manual)
 *                                            ▼  ▼
 *          ┌───────────────────────────── cleaning ⇄ clean wait ──► clean failed ──manage──► manageable
 *          │ done                            ▲ │ manage
 *          ▼                                 │ └────────► manageable
 *      available ──manage──► manageable      │
 *          │ active                          │ clean
 *          ▼                                 │
 *      deploying ⇄ wait call-back        deleting ──fail──► error
 *          │  │                              ▲
 *          │  └─fail─► deploy failed ─deleted─┤
 *          ▼ done          │ active, rebuild │
 *        active ──deleted──┼─────────────────┘
 *          └─rebuild───────┴──► deploying
 * ```
 */
export const TRANSITIONS: Record<ProvisionState, Partial<Record<ProvisionEvent, ProvisionState>>> = {
  enroll: { manage: 'verifying' },
  verifying: { done: 'manageable', fail: 'enroll' },
  manageable: { inspect: 'inspecting', provide: 'cleaning', clean: 'cleaning' },
  inspecting: { wait: 'inspect wait', done: 'manageable', fail: 'inspect failed' },
  'inspect wait': { resume: 'inspecting', fail: 'inspect failed', abort: 'inspect failed' },
  'inspect failed': { manage: 'manageable', inspect: 'inspecting' },
  available: { manage: 'manageable', active: 'deploying' },
  cleaning: { wait: 'clean wait', done: 'available', manage: 'manageable', fail: 'clean failed' },
  'clean wait': { resume: 'cleaning', fail: 'clean failed', abort: 'clean failed' },
  'clean failed': { manage: 'manageable' },
  deploying: { wait: 'wait call-back', done: 'active', fail: 'deploy failed' },
  'wait call-back': { resume: 'deploying', fail: 'deploy failed', deleted: 'deleting', abort: 'deploy failed' },
  'deploy failed': { active: 'deploying', rebuild: 'deploying', deleted: 'deleting' },
  active: { rebuild: 'deploying', deleted: 'deleting' },
  deleting: { clean: 'cleaning', fail: 'error' },
  error: { rebuild: 'deploying', deleted: 'deleting' },
};

/** Where a verb wants to get to: `target_provision_state` while it is on its way. `abort` wants nothing. */
export const VERB_TARGETS: Record<Verb, ProvisionState | null> = {
  manage: 'manageable',
  provide: 'available',
  inspect: 'manageable',
  clean: 'manageable',
  active: 'active',
  rebuild: 'active',
  deleted: 'available',
  abort: null,
};

/** What each state is to the conductor. */
export type StateKind =
  /** Nothing is under way. */
  | 'idle'
  /** The conductor itself is at work, in this process. */
  | 'working'
  /** The ramdisk is awaited or at work; the flow goes on with its next heartbeat. */
  | 'waiting'
  /** As idle, after something went wrong: `last_error` says what. */
  | 'failed';

export const STATE_KINDS: Record<ProvisionState, StateKind> = {
  enroll: 'idle',
  verifying: 'working',
  manageable: 'idle',
  inspecting: 'working',
  'inspect wait': 'waiting',
  'inspect failed': 'failed',
  available: 'idle',
  cleaning: 'working',
  'clean wait': 'waiting',
  'clean failed': 'failed',
  deploying: 'working',
  'wait call-back': 'waiting',
  'deploy failed': 'failed',
  active: 'idle',
  deleting: 'working',
  error: 'failed',
};

/** States in which a ramdisk may look its node up (Ironic `states.LOOKUP_ALLOWED_STATES`). */
export const LOOKUP_STATES: readonly ProvisionState[] = [
  'inspecting',
  'inspect wait',
  'cleaning',
  'clean wait',
  'deploying',
  'wait call-back',
];

/** States in which a node's record may be removed without force: nothing of it is in use. */
export const DELETE_STATES: readonly ProvisionState[] = [
  'enroll',
  'manageable',
  'available',
  'inspect failed',
  'clean failed',
];

/** The state that an event leads to, or undefined where it is refused. */
export function nextState(state: ProvisionState, event: ProvisionEvent): ProvisionState | undefined {
  return TRANSITIONS[state][event];
}

/** The verbs that a state takes, for a refusal that helps. */
export function allowedVerbs(state: ProvisionState): Verb[] {
  return VERBS.filter((verb) => TRANSITIONS[state][verb] !== undefined);
}
