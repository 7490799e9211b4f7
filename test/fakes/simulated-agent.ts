/**
 * A fake: the ramdisk's agent as the conductor sees it (agent-protocol B to E), in this process. It keeps to the protocol's
 * rules (token, busy, history, echoed steps) and does nothing to any disk; how each command ends is up to the test.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';

import { createCertificate } from '../../agent/ironic/certificate.ts';

export type SimulatedCommand = {
  id: string;
  command_name: string;
  command_status: string;
  command_error: unknown;
  command_result: unknown;
  progress?: unknown;
};

export type Behaviour = {
  cleanSteps: Record<string, unknown>[];
  deploySteps: Record<string, unknown>[];
  versions: Record<string, string>;
  /**
<<<<<<< HEAD
   * How a step ends: nothing is success; an error fails it, with its `result` as what was done all the same; a promise that it waits for first is how a test holds it.
=======
   * How a step ends: what it returns is its result; an error fails it; a promise that it waits for first is how a test holds it.
>>>>>>> b7625a4 (conductor: keeps raid_config and target_raid_config; ingot node raid, ingot node clean --dry-run)
   */
  onStep: (step: Record<string, unknown>, command: SimulatedCommand) => unknown;
  /** Answers to other commands, by full name. */
  onCommand: (name: string) => unknown;
  inventory: Record<string, unknown>;
  inspectionError: string | null;
};

export const STEPS = {
  metadata: {
    step: 'erase_devices_metadata',
    priority: 99,
    interface: 'deploy',
    reboot_requested: false,
    abortable: true,
  },
  erase: { step: 'erase_devices', priority: 10, interface: 'deploy', reboot_requested: false, abortable: true },
  express: {
    step: 'erase_devices_express',
    priority: 0,
    interface: 'deploy',
    reboot_requested: false,
    abortable: true,
  },
  firmware: { step: 'update_firmware', priority: 50, interface: 'bios', reboot_requested: true, abortable: false },
} as const;

export function defaultBehaviour(mac: string): Behaviour {
  return {
    cleanSteps: [STEPS.erase, STEPS.metadata, STEPS.express],
    deploySteps: [{ step: 'write_image', priority: 0, interface: 'deploy', reboot_requested: false, abortable: false }],
    versions: { ingot: '0.1.0' },
    onStep: () => undefined,
    onCommand: () => null,
    inventory: {
      interfaces: [{ name: 'eno1', mac_address: mac, has_carrier: true, ipv4_address: '127.0.0.1' }],
      cpu: { model_name: 'Simulated', frequency: '2000', count: 2, architecture: 'x86_64', flags: [], socket_count: 1 },
      disks: [{ name: '/dev/vda', model: null, size: 8589934592, serial: 'DISK0' }],
      memory: { total: 1_000_000_000, physical_mb: 1024 },
      boot: { current_boot_mode: 'uefi', pxe_interface: mac },
    },
    inspectionError: null,
  };
}

export type SimulatedAgent = {
  url: string;
  token: string;
  uuid: string;
  certificate: string;
  commands: SimulatedCommand[];
  /** Bodies of all requests, as they came. */
  requests: { name: string; params: Record<string, unknown> }[];
  beat: (change?: Record<string, unknown>) => Promise<{ status: number; text: string }>;
  /** Its network is away: nobody gets an answer from it until it is back. */
  pause: (isAway: boolean) => void;
  stop: () => Promise<void>;
};

const headers = (version: string) => ({
  'content-type': 'application/json',
  'x-openstack-ironic-api-version': version,
});

/** A machine whose conductor is away for a moment asks again, as firmware and agents do. */
export async function fetchPatiently(url: string, options: RequestInit = {}): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await fetch(url, options);
    } catch (error) {
      if (attempt > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function lookUp(api: string, mac: string, isOn: () => boolean): Promise<{ uuid: string; token: string }> {
  for (let attempt = 0; ; attempt++) {
    if (!isOn()) throw new Error('switched off');
    const response = await fetchPatiently(`${api}/v1/lookup?addresses=${encodeURIComponent(mac)}`, {
      headers: headers('1.62'),
    });
    const body = (await response.json()) as { node: { uuid: string }; config: { agent_token: string } };
    if (!isOn()) throw new Error('switched off');
    // The real one locks its machine down at this answer.
    if (body.config?.agent_token === '******') throw new Error('the token was given to somebody else');
    if (response.status === 200) return { uuid: body.node.uuid, token: body.config.agent_token };
    if (attempt > 200) throw new Error(`lookup: ${response.status}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

type Request = { name: string; params: Record<string, unknown> };

/** Answers one POST: the history is changed, sync commands are done when this returns. */
function execute(
  agent: SimulatedAgent,
  behaviour: Behaviour,
  { name, params }: Request,
  onPowerOff: () => void,
): SimulatedCommand {
  const [extension = '', short = ''] = name.split('.');
  const command: SimulatedCommand = {
    id: randomUUID(),
    command_name: short,
    command_status: 'SUCCEEDED',
    command_error: null,
    command_result: null,
  };
  agent.commands.push(command);
  const kind = /^(?:get|execute)_(clean|deploy)_steps?$/.exec(short)?.[1] as 'clean' | 'deploy' | undefined;
  if (short.startsWith('get_') && kind !== undefined) {
    command.command_result = {
      [`${kind}_steps`]: { Simulated: kind === 'clean' ? behaviour.cleanSteps : behaviour.deploySteps },
      hardware_manager_version: behaviour.versions,
    };
  } else if (short.startsWith('execute_') && kind !== undefined) {
    const step = params['step'] as Record<string, unknown>;
    if (JSON.stringify(params[`${kind}_version`]) !== JSON.stringify(behaviour.versions)) {
      command.command_status = 'CLEAN_VERSION_MISMATCH';
      command.command_error = {
        type: 'VersionMismatch',
        code: 409,
        message: 'Hardware managers version mismatch',
        details: '',
      };
    } else {
      command.command_status = 'RUNNING';
      void Promise.resolve()
        .then(() => behaviour.onStep(step, command))
        .then(
          (result) =>
            Object.assign(command, {
              command_status: 'SUCCEEDED',
              command_result: { [`${kind}_result`]: result ?? null, [`${kind}_step`]: step },
            }),
          (error: Error & { result?: unknown }) =>
            Object.assign(command, {
              command_status: 'FAILED',
              command_result:
                error.result === undefined ? null : { [`${kind}_result`]: error.result, [`${kind}_step`]: step },
              command_error: {
                type: 'ImageWriteError',
                code: 500,
                message: 'Error writing image to device',
                details: error.message,
              },
            }),
        )
        .then(() => {
          delete command.progress;
          return agent.beat();
        })
        .catch(() => undefined);
    }
  } else if (name === 'standby.power_off') {
    setTimeout(onPowerOff, 5);
  } else command.command_result = behaviour.onCommand(`${extension}.${short}`);
  return command;
}

/**
 * Boots the agent: lookup, HTTPS server, first heartbeat.
 * @param power of the machine: how it is switched off, and whether it still is on
 */
export async function bootAgent(
  api: string,
  mac: string,
  behaviour: Behaviour,
  power: { off: () => void; isOn: () => boolean },
): Promise<SimulatedAgent> {
  const { uuid, token } = await lookUp(api, mac, power.isOn);
  const { certificate: cert, key } = createCertificate({
    host: '127.0.0.1',
    commonName: 'simulated',
    curve: 'p384',
    times: [Date.now()],
  });
  let isAway = false;
  const server: Server = createServer({ cert, key }, (request, response) => {
    if (isAway) {
      request.socket.destroy();
      return;
    }
    void (async () => {
      let text = '';
      for await (const chunk of request) text += String(chunk);
      const url = new URL(request.url ?? '', 'https://agent');
      const send = (status: number, body: unknown) =>
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      const fault = (status: number, faultstring: string) => send(status, { faultcode: 'Client', faultstring });
      if (url.searchParams.get('agent_token') !== token) return fault(401, '401 Unauthorized: Token invalid.');
      if (url.pathname !== '/v1/commands/') return fault(404, '404 Not Found');
      if (request.method === 'GET') return send(200, { commands: agent.commands });
      const body = JSON.parse(text) as Request;
      agent.requests.push(body);
      const busy = agent.commands.at(-1);
      if (busy?.command_status === 'RUNNING')
        return fault(409, `Agent is busy: executing command ${busy.command_name}`);
      return send(200, execute(agent, behaviour, body, power.off));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const agent: SimulatedAgent = {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token,
    uuid,
    certificate: cert,
    commands: [],
    requests: [],
    beat: async (change = {}) => {
      const body = {
        callback_url: agent.url,
        agent_token: token,
        agent_version: '0.1.0',
        agent_verify_ca: cert,
        ...change,
      };
      const response = await fetchPatiently(`${api}/v1/heartbeat/${uuid}`, {
        method: 'POST',
        headers: headers('1.68'),
        body: JSON.stringify(body),
      });
      return { status: response.status, text: await response.text() };
    },
    pause: (away) => void (isAway = away),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  // As the real one: until it is taken, every few moments.
  for (let attempt = 0; attempt < 200 && (await agent.beat()).status !== 202; attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return agent;
}
