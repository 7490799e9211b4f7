import { randomUUID } from 'node:crypto';

import type { Heartbeat } from '../../agent/api/ironic.ts';
import { STATE_KINDS, type Verb, VERB_TARGETS } from '../states/table.ts';
import type { FlowStep, JsonObject, NodeRecord, PowerTarget } from '../store/node.ts';
import { timestamp } from '../store/store.ts';
import { bootScript } from './boot-script.ts';
import { lookup, receiveHeartbeat } from './callback.ts';
import { cleanParts } from './clean.ts';
import { checkConfigdrive } from './configdrive.ts';
import { deployParts } from './deploy.ts';
import type { DriveDeps } from './deps.ts';
import { orFail, failFlow } from './fail.ts';
import { driveFailure } from './failures.ts';
import { imageInfo } from './image.ts';
import { receiveInventory } from './inspect.ts';
import { createJobs, type Jobs } from './jobs.ts';
import { errorText, refuseUnlessAllowed, transition } from './node-change.ts';
import { createPoller } from './poller.ts';
import { changePower, recordPower } from './power.ts';
import { createFlowRunner, FORGET_FLOW } from './step-flow.ts';
import { timeoutReason } from './timeouts.ts';
import { afterPowerLoss, type Flows, hasLostPower, proceed, resumeWork, WORK } from './work.ts';

export type ProvisionRequest = {
  target: Verb;
  configdrive?: unknown;
  clean_steps?: FlowStep[] | undefined;
};

/** The conductor's work on nodes. Requests are checked at once and throw; what they start goes on by itself. */
export type Driver = {
  provision: (ident: string, request: ProvisionRequest) => void;
  power: (ident: string, target: PowerTarget) => void;
  lookup: (query: { addresses: string[]; nodeUuid: string | undefined }) => { node: NodeRecord; token: string };
  heartbeat: (uuid: string, beat: Heartbeat) => void;
  continueInspection: (body: unknown) => NodeRecord;
  /** What iPXE is to do on the machine with this MAC address. */
  bootScript: (mac: string) => string;
  /** Goes on with every flow that was under way when the conductor ended, and starts to watch the clock. */
  start: () => void;
  /** Leaves all flows where they are. */
  stop: () => Promise<void>;
  /** Waits until nothing is at work in this process; for tests. */
  idle: () => Promise<void>;
  reservation: (uuid: string) => string | null;
  /** @throws Failure NODE_LOCKED while something is at work on the node */
  assertFree: (uuid: string) => void;
  progress: (uuid: string) => JsonObject | undefined;
};

const WATCH_MS = 1000;

function checkRequest(node: NodeRecord, request: ProvisionRequest): void {
  if (request.target === 'active' || request.target === 'rebuild') imageInfo(node);
  else if (request.configdrive !== undefined) {
    throw driveFailure('DEPLOY_REQUEST', `a config drive goes with active and rebuild, not with ${request.target}`);
  }
  const hasSteps = request.clean_steps !== undefined && request.clean_steps.length > 0;
  if (request.target === 'clean' && !hasSteps) throw driveFailure('CLEAN_REQUEST', 'clean needs clean_steps');
  if (request.target !== 'clean' && request.clean_steps !== undefined) {
    throw driveFailure('CLEAN_REQUEST', `clean_steps go with clean, not with ${request.target}`);
  }
}

/** Verbs that lead to a cleaning. */
const CLEANING: ReadonlySet<string> = new Set(['clean', 'provide', 'deleted']);

/** A new flow starts with a clean sheet. */
function enterFlow(deps: DriveDeps, node: NodeRecord, request: ProvisionRequest): NodeRecord {
  const { target } = request;
  return transition(deps, node.uuid, target, {
    target_provision_state: VERB_TARGETS[target],
    last_error: null,
    clean_step: {},
    deploy_step: {},
    ...(target === 'inspect' && { inspection_started_at: timestamp(deps.os.clock.now()) }),
    info: {
      ...FORGET_FLOW,
      ingot_agent_logs: undefined,
      ingot_plans: undefined,
      // The disk's last owner must not know it: it is chosen when he has lost it.
      ...(CLEANING.has(target) && {
        ingot_evidence_nonce: node.driver_internal_info.ingot_evidence_nonce ?? randomUUID(),
        // As Ironic's [deploy] disk_erasure_concurrency: one slow disk holds nobody up.
        disk_erasure_concurrency: node.driver_internal_info['disk_erasure_concurrency'] ?? 4,
      }),
      ...(target === 'clean' && { ingot_manual_clean_steps: request.clean_steps }),
      ...(target === 'active' || target === 'rebuild' ? { is_whole_disk_image: true } : {}),
    },
  });
}

/** @param partial what the process gives; jobs and the memory of what runs are made here */
export function createDriver(partial: Omit<DriveDeps, 'jobs' | 'progress' | 'contacts' | 'issuedTokens'>): Driver {
  const jobs: Jobs = createJobs((uuid, what, error) =>
    partial.log.error({ node: uuid, what, why: error }, 'internal error'),
  );
  const deps: DriveDeps = { ...partial, jobs, progress: new Map(), contacts: new Map(), issuedTokens: new Set() };
  const { store, os, log } = deps;
  const guarded = (uuid: string, work: (signal: AbortSignal) => Promise<void>) => (signal: AbortSignal) =>
    orFail(deps, uuid, signal, () => work(signal));
  const goOn = (uuid: string): void => {
    jobs.tryStart(
      uuid,
      'the flow',
      guarded(uuid, (signal) => proceed(deps, flows, uuid, signal)),
    );
  };
  const lookAtPower = async (uuid: string): Promise<void> => {
    const { agent_secret_token: token } = store.getNode(uuid).driver_internal_info;
    if (!(await hasLostPower(deps, uuid, jobs.signal))) return;
    jobs.tryStart(
      uuid,
      'going on after a power cut',
      guarded(uuid, (signal) => afterPowerLoss(deps, flows, { uuid, token }, signal)),
    );
  };
  const poller = createPoller(deps, goOn, lookAtPower);
  const flows: Flows = {
    clean: createFlowRunner(deps, 'clean', cleanParts(deps), poller.start),
    deploy: createFlowRunner(deps, 'deploy', deployParts(deps), poller.start),
  };
  const watcher = { done: Promise.resolve() };

  const checkTimeouts = (): void => {
    const { callbackTimeoutSeconds: timeoutSeconds, publicUrl } = deps.settings;
    for (const node of store.listNodes()) {
      const context = { now: os.clock.now(), contact: deps.contacts.get(node.uuid), timeoutSeconds, publicUrl };
      const reason = timeoutReason(node, context);
      if (reason === undefined) continue;
      const work = (signal: AbortSignal) => failFlow(deps, node.uuid, driveFailure('CALLBACK_TIMEOUT', reason), signal);
      jobs.tryStart(node.uuid, 'ending the flow', work);
    }
  };
  const watch = async (): Promise<void> => {
    while (!jobs.signal.aborted) {
      await os.clock.sleep(WATCH_MS, jobs.signal);
      try {
        checkTimeouts();
      } catch (error) {
        log.error({ why: error }, 'internal error while looking for nodes that wait too long');
      }
    }
  };

  const abort = (node: NodeRecord): void => {
    refuseUnlessAllowed(node, 'abort');
    const failure = driveFailure('ABORTED', node.provision_state);
    jobs.start(node.uuid, 'abort', (signal) => failFlow(deps, node.uuid, failure, signal));
  };

  const setNodePower = async (uuid: string, target: PowerTarget, signal: AbortSignal): Promise<void> => {
    try {
      await changePower(deps, uuid, target, signal);
      store.updateNode(uuid, { last_error: null });
    } catch (error) {
      signal.throwIfAborted();
      store.updateNode(uuid, { last_error: errorText(error), target_power_state: null });
      log.error({ node: uuid, why: errorText(error) }, 'power');
    }
  };

  const recoverPower = (node: NodeRecord): void => {
    const wanted = node.target_power_state;
    if (wanted === null) return;
    jobs.tryStart(node.uuid, 'power', async (signal) => {
      // Whether a restart was done cannot be seen afterwards, and a second one may hurt: what the BMC says counts.
      if (wanted === 'power on' || wanted === 'power off') return setNodePower(node.uuid, wanted, signal);
      const power = await deps
        .bmcOf(node)
        .power(signal)
        .catch(() => 'unknown' as const);
      store.updateNode(node.uuid, { target_power_state: null });
      if (power !== 'unknown') recordPower(deps, node.uuid, power);
    });
  };

  return {
    provision: (ident, request) => {
      const node = store.getNode(ident);
      jobs.assertFree(node.uuid);
      const { target } = request;
      if (target === 'abort') return abort(node);
      refuseUnlessAllowed(node, target);
      checkRequest(node, request);
      const drive =
        request.configdrive === undefined || request.configdrive === null
          ? undefined
          : checkConfigdrive(request.configdrive);
      if (drive !== undefined) store.setConfigdrive(node.uuid, drive);
      const entered = enterFlow(deps, node, request);
      if (STATE_KINDS[entered.provision_state] !== 'working') {
        store.updateNode(node.uuid, { target_provision_state: null });
        return;
      }
      jobs.start(
        node.uuid,
        target,
        guarded(node.uuid, (signal) => WORK[target](deps, node.uuid, signal)),
      );
    },
    power: (ident, target) => {
      const node = store.getNode(ident);
      jobs.assertFree(node.uuid);
      const kind = STATE_KINDS[node.provision_state];
      if (kind === 'waiting' || kind === 'working') {
        throw driveFailure('POWER_REQUEST', `node ${node.name ?? node.uuid} is in state "${node.provision_state}"`, {
          hint: 'wait until it is done, or end it first (ingot node abort)',
        });
      }
      jobs.start(node.uuid, target, (signal) => setNodePower(node.uuid, target, signal));
    },
    lookup: (query) => lookup(deps, query),
    heartbeat: (uuid, beat) => {
      const { node, isAwaited } = receiveHeartbeat(deps, uuid, beat);
      if (isAwaited) goOn(node.uuid);
    },
    continueInspection: (body) => receiveInventory(deps, body),
    bootScript: (mac) => bootScript(deps, mac),
    start: () => {
      for (const node of store.listNodes()) {
        const work = resumeWork(deps, flows, node);
        if (work !== undefined) {
          log.info({ node: node.name ?? node.uuid, state: node.provision_state }, 'going on after a restart');
          jobs.start(node.uuid, 'going on after a restart', guarded(node.uuid, work));
        } else if (STATE_KINDS[node.provision_state] !== 'waiting') recoverPower(node);
        else if (node.driver_internal_info.agent_url !== undefined) poller.start(node.uuid);
      }
      watcher.done = watch().catch((error: unknown) => {
        if (!jobs.signal.aborted) throw error;
      });
    },
    stop: async () => {
      await jobs.stop();
      await Promise.all([poller.stop(), watcher.done]);
    },
    idle: () => jobs.idle(),
    reservation: (uuid) => jobs.holder(uuid) ?? null,
    assertFree: jobs.assertFree,
    progress: (uuid) => deps.progress.get(uuid),
  };
}
