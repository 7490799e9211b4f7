import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock, systemOs } from '../../conductor/os/system.ts';
import { type ConductorOptions, type RunningConductor, startConductor } from '../../conductor/process.ts';
import type { SimulatedMachine } from './simulated-machine.ts';

/** Waits are cut short, so that a test does not last as long as a machine's life; the time of day is real. */
export const quickClock = {
  now: systemClock.now,
  sleep: (milliseconds: number, signal?: AbortSignal) => systemClock.sleep(Math.min(milliseconds, 15), signal),
};

export type NodeJson = Record<string, unknown> & {
  uuid: string;
  provision_state: string;
  last_error: string | null;
  driver_internal_info: Record<string, unknown>;
};

/** The real conductor, in this process, on a port of its own, with its state in a folder of its own. */
export type TestConductor = {
  url: string;
  stateDirectory: string;
  logLines: string[];
  call: (
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<{ status: number; body: NodeJson }>;
  node: () => Promise<NodeJson>;
  /** Makes the node of a machine, `n1`. */
  register: (machine: SimulatedMachine, more?: object) => Promise<NodeJson>;
  provision: (target: string, more?: object) => Promise<{ status: number; body: NodeJson }>;
  /** Waits for one of the states without anything at work. @throws when it takes longer than ten seconds */
  reach: (...states: string[]) => Promise<NodeJson>;
  /** Ends the process part and starts a new one on the same state and port. */
  restart: () => Promise<void>;
  stop: () => Promise<void>;
};

const RAMDISK = new URL('../../package.json', import.meta.url).pathname;

export async function startTestConductor(change: Partial<ConductorOptions> = {}): Promise<TestConductor> {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'ingot-conductor-'));
  const logLines: string[] = [];
  const options: ConductorOptions = {
    host: '127.0.0.1',
    port: 0,
    stateDirectory,
    publicUrl: undefined,
    httpRoot: undefined,
    // Any file will do: nothing boots it.
    kernel: RAMDISK,
    initramfs: RAMDISK,
    kernelAppend: 'console=ttyS0',
    callbackTimeoutSeconds: 30,
    heartbeatTimeoutSeconds: 300,
    cleanPriorities: {},
    ...change,
  };
  const start = (port: number) =>
    startConductor({ ...options, port }, { ...systemOs, clock: quickClock }, { write: (text) => logLines.push(text) });
  let running: RunningConductor = await start(options.port);
  const { url } = running;

  const call: TestConductor['call'] = async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        'x-openstack-ironic-api-version': '1.81',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as never };
  };
  const conductor: TestConductor = {
    url,
    stateDirectory,
    logLines,
    call,
    node: async () => (await call('GET', '/v1/nodes/n1')).body,
    register: async (machine, more = {}) => {
      machine.bootUrl = url;
      const { body } = await call('POST', '/v1/nodes', {
        name: 'n1',
        driver: 'redfish',
        driver_info: machine.bmc.driverInfo(),
        ...more,
      });
      await call('POST', '/v1/ports', { node_uuid: body.uuid, address: machine.mac });
      return body;
    },
    provision: (target, more = {}) => call('PUT', '/v1/nodes/n1/states/provision', { target, ...more }),
    reach: async (...states) => {
      const end = Date.now() + 10_000;
      for (;;) {
        const node = await conductor.node();
        if (states.includes(node.provision_state) && node['reservation'] === null) return node;
        if (Date.now() > end) {
          throw new Error(
            `still ${node.provision_state} (${node.last_error}), not ${states.join(' or ')}\n${logLines.slice(-15).join('')}`,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    restart: async () => {
      await running.stop();
      running = await start(Number(new URL(url).port));
    },
    stop: async () => {
      await running.stop();
      await rm(stateDirectory, { recursive: true, force: true });
    },
  };
  return conductor;
}
