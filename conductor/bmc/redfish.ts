import type { Clock } from '../os/door.ts';
import type { Bmc, BmcPower, BootDevice, PowerAction } from './bmc.ts';
import { bmcFailure } from './failures.ts';
import { redfishErrorText, redfishHttp, type RedfishHttp, type RedfishResponse } from './http.ts';
import { redfishSettings, type RedfishSettings } from './settings.ts';

/** ResetType values of DSP2046 for each wish, the best first. */
const RESET_TYPES: Record<PowerAction, readonly string[]> = {
  'power on': ['On', 'ForceOn', 'PushPowerButton'],
  'power off': ['ForceOff', 'GracefulShutdown', 'PushPowerButton'],
  rebooting: ['ForceRestart', 'PowerCycle', 'GracefulRestart'],
  'soft power off': ['GracefulShutdown', 'ForceOff'],
  'soft rebooting': ['GracefulRestart', 'ForceRestart'],
};
const BOOT_TARGETS: Record<BootDevice, string> = { pxe: 'Pxe', disk: 'Hdd' };

const POWER_POLL_MS = 1000;
/** How long a BMC may take to get the machine into a power state; some servers need two minutes to switch off. */
const POWER_TIMEOUT_MS = 180_000;
/** How long an operating system may take to shut down before the power is cut. */
const SOFT_TIMEOUT_MS = 300_000;

function stringsOf(value: unknown): string[] | undefined {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : undefined;
}

type System = { body: Record<string, unknown>; etag: string | undefined };
type Context = {
  http: RedfishHttp;
  settings: RedfishSettings & { systemId: string };
  signal: AbortSignal | undefined;
};

const SYSTEMS = '/redfish/v1/Systems';

/** The only system that a BMC manages, for a node without redfish_system_id (as with Ironic's redfish driver). */
async function onlySystem(
  http: RedfishHttp,
  settings: RedfishSettings,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { origin } = settings.address;
  const { status, body } = await http.send({ method: 'GET', path: SYSTEMS, signal });
  if (status >= 400)
    throw bmcFailure('BMC_NOT_REDFISH', `${origin}: HTTP ${status} for ${SYSTEMS}: ${redfishErrorText(body)}`);
  const members = Array.isArray(body['Members']) ? (body['Members'] as Record<string, unknown>[]) : [];
  const paths = members.map((member) => member['@odata.id']).filter((path) => typeof path === 'string');
  const [only, another] = paths;
  if (only !== undefined && another === undefined) return only;
  const found = paths.length === 0 ? 'none' : paths.join(', ');
  throw bmcFailure('BMC_SYSTEM_NOT_FOUND', `of the node: it has no redfish_system_id, and ${origin} manages ${found}`);
}

async function readSystem({ http, settings, signal }: Context): Promise<System> {
  const { address, systemId } = settings;
  const response = await http.send({ method: 'GET', path: systemId, signal });
  if (response.status === 404) throw bmcFailure('BMC_SYSTEM_NOT_FOUND', `${systemId} on the BMC at ${address.origin}`);
  if (response.status >= 400) {
    throw bmcFailure(
      'BMC_NOT_REDFISH',
      `${address.origin}: HTTP ${response.status} for ${systemId}: ${redfishErrorText(response.body)}`,
    );
  }
  if (typeof response.body['PowerState'] !== 'string') {
    throw bmcFailure('BMC_NOT_REDFISH', `${address.origin}: ${systemId} is no ComputerSystem with a PowerState`);
  }
  const etag = response.headers['etag'] ?? response.body['@odata.etag'];
  return { body: response.body, etag: typeof etag === 'string' ? etag : undefined };
}

function powerOf(system: System): BmcPower {
  const state = system.body['PowerState'];
  return state === 'On' ? 'power on' : state === 'Off' ? 'power off' : 'unknown';
}

type ResetAction = { target: string; allowed: string[] | undefined };

/** The values that a BMC allows stand with the action, or, on newer BMCs, in its ActionInfo. */
async function resetAction(context: Context, system: System): Promise<ResetAction> {
  const actions = system.body['Actions'] as Record<string, Record<string, unknown> | undefined> | undefined;
  const action = actions?.['#ComputerSystem.Reset'] ?? {};
  const target =
    typeof action['target'] === 'string'
      ? action['target']
      : `${context.settings.systemId}/Actions/ComputerSystem.Reset`;
  const allowed = stringsOf(action['ResetType@Redfish.AllowableValues']);
  const info = action['@Redfish.ActionInfo'];
  if (allowed !== undefined || typeof info !== 'string') return { target, allowed };
  const { status, body } = await context.http.send({ method: 'GET', path: info, signal: context.signal });
  const parameters =
    status < 400 && Array.isArray(body['Parameters']) ? (body['Parameters'] as Record<string, unknown>[]) : [];
  return { target, allowed: stringsOf(parameters.find((one) => one['Name'] === 'ResetType')?.['AllowableValues']) };
}

/** @throws Failure BMC_REFUSED when the BMC has no reset type for the wish */
export function chooseResetType(action: PowerAction, allowed: readonly string[] | undefined): string {
  const wanted = RESET_TYPES[action];
  const chosen = allowed === undefined ? wanted[0] : wanted.find((type) => allowed.includes(type));
  if (chosen === undefined) {
    throw bmcFailure(
      'BMC_REFUSED',
      `for ${action} it would need one of ${wanted.join(', ')}, and it offers ${allowed?.join(', ')}`,
    );
  }
  return chosen;
}

async function reset(context: Context, action: PowerAction): Promise<void> {
  const { target, allowed } = await resetAction(context, await readSystem(context));
  const body = { ResetType: chooseResetType(action, allowed) };
  const response = await context.http.send({ method: 'POST', path: target, body, signal: context.signal });
  if (response.status >= 400) {
    throw bmcFailure(
      'BMC_REFUSED',
      `${body.ResetType} ended with HTTP ${response.status}: ${redfishErrorText(response.body)}`,
    );
  }
}

async function waitForPower(context: Context, clock: Clock, wanted: BmcPower, timeoutMs: number): Promise<boolean> {
  for (let waitedMs = 0; ; waitedMs += POWER_POLL_MS) {
    if (powerOf(await readSystem(context)) === wanted) return true;
    if (waitedMs >= timeoutMs) return false;
    await clock.sleep(POWER_POLL_MS, context.signal);
  }
}

async function insistOnPower(context: Context, clock: Clock, wanted: 'power on' | 'power off'): Promise<void> {
  if (powerOf(await readSystem(context)) === wanted) return;
  await reset(context, wanted);
  if (await waitForPower(context, clock, wanted, POWER_TIMEOUT_MS)) return;
  throw bmcFailure(
    'POWER_TIMEOUT',
    `${wanted}: its BMC at ${context.settings.address.origin} still says otherwise after ${POWER_TIMEOUT_MS / 1000} s`,
  );
}

async function setPower(context: Context, clock: Clock, action: PowerAction): Promise<void> {
  const isOn = powerOf(await readSystem(context)) === 'power on';
  switch (action) {
    case 'power on':
    case 'power off':
      return insistOnPower(context, clock, action);
    case 'soft power off':
      if (!isOn) return;
      await reset(context, action);
      if (await waitForPower(context, clock, 'power off', SOFT_TIMEOUT_MS)) return;
      return insistOnPower(context, clock, 'power off');
    case 'rebooting':
    case 'soft rebooting':
      if (!isOn) return insistOnPower(context, clock, 'power on');
      await reset(context, action);
      // PowerState may never leave On for a restart, so only its end can be waited for.
      await waitForPower(context, clock, 'power on', POWER_TIMEOUT_MS);
      return;
  }
}

type BootOverride = {
  BootSourceOverrideTarget: string;
  BootSourceOverrideEnabled: string;
  BootSourceOverrideMode?: string;
};

/** Some BMCs want to see the ETag of what is changed, some stumble over a weak one: given, refreshed once, left out. */
async function patchBoot(context: Context, override: BootOverride): Promise<RedfishResponse> {
  let response: RedfishResponse | undefined;
  for (const withEtag of [true, true, false]) {
    const { etag } = await readSystem(context);
    response = await context.http.send({
      method: 'PATCH',
      path: context.settings.systemId,
      body: { Boot: override },
      headers: withEtag && etag !== undefined ? { 'if-match': etag } : {},
      signal: context.signal,
    });
    if (response.status !== 412) return response;
  }
  return response as RedfishResponse;
}

async function setBootDevice(
  context: Context,
  device: BootDevice,
  options: { once: boolean; uefi: boolean },
): Promise<void> {
  const override: BootOverride = {
    BootSourceOverrideTarget: BOOT_TARGETS[device],
    BootSourceOverrideEnabled: options.once ? 'Once' : 'Continuous',
  };
  const mode = options.uefi ? 'UEFI' : 'Legacy';
  let response = await patchBoot(context, { ...override, BootSourceOverrideMode: mode });
  // A BMC that knows one boot mode only may refuse to be told it.
  if (response.status === 400) response = await patchBoot(context, override);
  if (response.status >= 400) {
    throw bmcFailure(
      'BMC_REFUSED',
      `boot from ${device} ended with HTTP ${response.status}: ${redfishErrorText(response.body)}`,
    );
  }
}

/**
 * The machine behind a Redfish service (DMTF DSP0266). Each call logs in and out: BMCs have few sessions and forget them.
 * @param driverInfo of the node
 * @throws Failure BMC_UNCONFIGURED
 */
export function redfishBmc(driverInfo: Readonly<Record<string, unknown>>, clock: Clock): Bmc {
  const settings = redfishSettings(driverInfo);
  const withHttp = async <T>(signal: AbortSignal | undefined, use: (context: Context) => Promise<T>): Promise<T> => {
    const http = redfishHttp(settings, clock);
    try {
      const systemId = settings.systemId ?? (await onlySystem(http, settings, signal));
      return await use({ http, settings: { ...settings, systemId }, signal });
    } finally {
      await http.close();
    }
  };
  return {
    power: (signal) => withHttp(signal, async (context) => powerOf(await readSystem(context))),
    setPower: (action, signal) => withHttp(signal, (context) => setPower(context, clock, action)),
    setBootDevice: (device, options, signal) => withHttp(signal, (context) => setBootDevice(context, device, options)),
  };
}
