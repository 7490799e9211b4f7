/**
 * A fake BMC: a small Redfish service in front of the lab's virtual machines, for tests and the demo only.
 *
 * It speaks as much of Redfish as a conductor needs for power and boot device, and it does to a QEMU process what a real BMC
 * does to a mainboard. What a conductor says to it, it can say to metal; what metal does beyond that, this does not show.
 */
import { timingSafeEqual } from 'node:crypto';
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';

import { reasonOf } from '../../system/failure.ts';
import { BOOT_TARGETS, type BootTarget } from './boot-order.ts';
import type { Machine } from './machine.ts';

export const RESET_TYPES = ['On', 'ForceOff', 'GracefulShutdown', 'ForceRestart', 'ForceOn'] as const;
export type ResetType = (typeof RESET_TYPES)[number];

export const OVERRIDE_ENABLED = ['Disabled', 'Once', 'Continuous'] as const;
type BootOverride = { target: BootTarget; enabled: (typeof OVERRIDE_ENABLED)[number] };

/** What the service does with a machine; `Machine` is one. */
export type Metal = Pick<
  Machine,
  'isOn' | 'powerOn' | 'powerOff' | 'powerButton' | 'reset' | 'setNextBoot' | 'onPower'
> & { hardware: Pick<Machine['hardware'], 'name' | 'uuid' | 'memoryMiB' | 'cpus' | 'mac'> };

type System = { metal: Metal; override: BootOverride; queue: Promise<unknown> };

class RedfishError extends Error {
  readonly status: number;
  readonly messageId: string;
  constructor(status: number, messageId: string, message: string) {
    super(message);
    this.status = status;
    this.messageId = messageId;
  }
}

function errorBody(messageId: string, message: string) {
  return { error: { code: messageId, message, '@Message.ExtendedInfo': [{ MessageId: messageId, Message: message }] } };
}

/** The target that counts for the next start. */
function nextTarget({ enabled, target }: BootOverride): BootTarget {
  return enabled === 'Disabled' ? 'None' : target;
}

/** An override for once is used up when the machine has begun to start with it. */
function afterBoot(override: BootOverride): BootOverride {
  return override.enabled === 'Once' ? { target: 'None', enabled: 'Disabled' } : override;
}

async function beginBoot(system: System): Promise<void> {
  const before = nextTarget(system.override);
  system.override = afterBoot(system.override);
  const after = nextTarget(system.override);
  if (before !== after && system.metal.isOn()) await system.metal.setNextBoot(after);
}

function invalid(name: string, value: unknown, allowed: readonly string[]): RedfishError {
  return new RedfishError(
    400,
    'Base.1.0.PropertyValueNotInList',
    `cannot set ${name} to ${JSON.stringify(value)}: it is one of ${allowed.join(', ')}`,
  );
}

const RESETS: Record<ResetType, (system: System) => Promise<void>> = {
  On: async (system) => {
    if (system.metal.isOn()) return;
    await system.metal.powerOn(nextTarget(system.override));
    await beginBoot(system);
  },
  ForceOn: (system) => RESETS.On(system),
  ForceOff: (system) => system.metal.powerOff(),
  GracefulShutdown: async (system) => {
    if (system.metal.isOn()) await system.metal.powerButton();
  },
  ForceRestart: async (system) => {
    if (!system.metal.isOn()) return RESETS.On(system);
    await system.metal.reset(); // its RESET event uses up an override for once
  },
};

function parseOverride(body: unknown, current: BootOverride): BootOverride {
  const boot = (body as { Boot?: Record<string, unknown> } | undefined)?.Boot;
  if (boot === undefined || typeof boot !== 'object')
    throw new RedfishError(
      400,
      'Base.1.0.PropertyMissing',
      'cannot change the system: Boot is the only writable property',
    );
  const target = boot['BootSourceOverrideTarget'] ?? current.target;
  const enabled = boot['BootSourceOverrideEnabled'] ?? current.enabled;
  const mode = boot['BootSourceOverrideMode'] ?? 'UEFI';
  const foundTarget = BOOT_TARGETS.find((one) => one === target);
  const foundEnabled = OVERRIDE_ENABLED.find((one) => one === enabled);
  if (foundTarget === undefined) throw invalid('BootSourceOverrideTarget', target, BOOT_TARGETS);
  if (foundEnabled === undefined) throw invalid('BootSourceOverrideEnabled', enabled, OVERRIDE_ENABLED);
  if (mode !== 'UEFI') throw invalid('BootSourceOverrideMode', mode, ['UEFI']);
  return { target: foundTarget, enabled: foundEnabled };
}

function describe(id: string, { metal, override }: System) {
  const { hardware } = metal;
  const path = `/redfish/v1/Systems/${id}`;
  return {
    '@odata.id': path,
    '@odata.type': '#ComputerSystem.v1_13_0.ComputerSystem',
    Id: id,
    Name: hardware.name,
    UUID: hardware.uuid,
    SystemType: 'Virtual',
    Manufacturer: 'Ingot',
    Model: 'lab',
    SerialNumber: hardware.name,
    PowerState: metal.isOn() ? 'On' : 'Off',
    Status: { State: 'Enabled', Health: 'OK' },
    MemorySummary: { TotalSystemMemoryGiB: hardware.memoryMiB / 1024 },
    ProcessorSummary: { Count: hardware.cpus },
    Boot: {
      BootSourceOverrideEnabled: override.enabled,
      'BootSourceOverrideEnabled@Redfish.AllowableValues': OVERRIDE_ENABLED,
      BootSourceOverrideTarget: override.target,
      'BootSourceOverrideTarget@Redfish.AllowableValues': BOOT_TARGETS,
      BootSourceOverrideMode: 'UEFI',
      'BootSourceOverrideMode@Redfish.AllowableValues': ['UEFI'],
    },
    Actions: {
      '#ComputerSystem.Reset': {
        target: `${path}/Actions/ComputerSystem.Reset`,
        'ResetType@Redfish.AllowableValues': RESET_TYPES,
      },
    },
  };
}

function isAllowed(header: string | undefined, username: string, password: string): boolean {
  const given = Buffer.from(header ?? '');
  const wanted = Buffer.from(`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function addSystems(app: FastifyInstance, systems: ReadonlyMap<string, System>): void {
  const find = (id: string): System => {
    const system = systems.get(id);
    if (system === undefined)
      throw new RedfishError(404, 'Base.1.0.ResourceMissingAtURI', `cannot find the system ${id}`);
    return system;
  };
  // One request at a time for each machine, as they arrive: a BMC has one power button.
  const inTurn = <T>(system: System, work: () => Promise<T>): Promise<T> => {
    const result = system.queue.then(work);
    system.queue = result.catch(() => undefined);
    return result;
  };
  app.get('/redfish/v1/Systems', async () => ({
    '@odata.id': '/redfish/v1/Systems',
    '@odata.type': '#ComputerSystemCollection.ComputerSystemCollection',
    Name: 'Systems',
    'Members@odata.count': systems.size,
    Members: [...systems.keys()].map((id) => ({ '@odata.id': `/redfish/v1/Systems/${id}` })),
  }));
  app.get<{ Params: { id: string } }>('/redfish/v1/Systems/:id', async ({ params }) =>
    describe(params.id, find(params.id)),
  );
  app.patch<{ Params: { id: string } }>('/redfish/v1/Systems/:id', async ({ params, body }, reply) => {
    const system = find(params.id);
    await inTurn(system, async () => {
      system.override = parseOverride(body, system.override);
      if (system.metal.isOn()) await system.metal.setNextBoot(nextTarget(system.override));
    });
    return noContent(reply);
  });
  app.post<{ Params: { id: string } }>(
    '/redfish/v1/Systems/:id/Actions/ComputerSystem.Reset',
    async ({ params, body }, reply) => {
      const system = find(params.id);
      const wanted = (body as { ResetType?: unknown } | undefined)?.ResetType;
      const type = RESET_TYPES.find((one) => one === wanted);
      if (type === undefined) throw invalid('ResetType', wanted, RESET_TYPES);
      await inTurn(system, () => RESETS[type](system));
      return noContent(reply);
    },
  );
}

function noContent(reply: FastifyReply) {
  return reply.code(204).send();
}

export type BmcOptions = { username: string; password: string; port?: number };

/** The service without a socket, for `inject`. Keys of `machines` are the systems' ids. */
export function createBmc(machines: ReadonlyMap<string, Metal>, options: BmcOptions): FastifyInstance {
  const app = fastify({ forceCloseConnections: true, routerOptions: { ignoreTrailingSlash: true } });
  const systems = new Map<string, System>(
    [...machines].map(([id, metal]) => [
      id,
      { metal, override: { target: 'None', enabled: 'Disabled' }, queue: Promise.resolve() },
    ]),
  );
  for (const system of systems.values())
    system.metal.onPower((event) => {
      if (event === 'reset') void beginBoot(system).catch(() => undefined); // it went off meanwhile: nothing left to order
    });
  app.addHook('onRequest', async (request, reply) => {
    // The version and the service root are open by the standard.
    if (/^\/redfish(\/v1)?\/?$/.test(request.url)) return;
    if (isAllowed(request.headers.authorization, options.username, options.password)) return;
    await reply
      .code(401)
      .header('WWW-Authenticate', 'Basic realm="lab BMC"')
      .send(errorBody('Base.1.0.NoValidSession', 'cannot let you in: wrong user name or password'));
  });
  app.setErrorHandler((error, _request, reply) => {
    const known = error instanceof RedfishError;
    const status = known ? error.status : ((error as { statusCode?: number }).statusCode ?? 500);
    return reply.code(status).send(errorBody(known ? error.messageId : 'Base.1.0.GeneralError', reasonOf(error)));
  });
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send(errorBody('Base.1.0.ResourceMissingAtURI', `cannot find ${request.url}`)),
  );
  app.get('/redfish', async () => ({ v1: '/redfish/v1/' }));
  const root = async () => ({
    '@odata.id': '/redfish/v1/',
    '@odata.type': '#ServiceRoot.v1_5_0.ServiceRoot',
    Id: 'RootService',
    Name: 'Lab BMC (virtual)',
    RedfishVersion: '1.6.0',
    Systems: { '@odata.id': '/redfish/v1/Systems' },
  });
  app.get('/redfish/v1', root);
  addSystems(app, systems);
  return app;
}

/** Starts the service on this host's loopback. */
export async function startBmc(
  machines: ReadonlyMap<string, Metal>,
  options: BmcOptions,
): Promise<{ url: string; close: () => Promise<void> }> {
  const app = createBmc(machines, options);
  const url = await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  return { url, close: () => app.close() };
}
