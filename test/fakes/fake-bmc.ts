import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A fake: what the management controller of a machine says, and how real ones differ from each other. */
export type BmcQuirks = {
  /** Paths of the systems that it lists; its own one unless said. */
  systems?: string[];
  allowed?: string[];
  /** Allowed values stand in a document of their own. */
  actionInfo?: boolean;
  auth?: 'basic' | 'session';
  /** Refuses a PATCH without the current ETag. */
  wantsEtag?: boolean;
  /** Refuses every If-Match, as firmware with broken weak ETags does. */
  refusesEtag?: boolean;
  /** Refuses BootSourceOverrideMode. */
  refusesMode?: boolean;
  /** Answers 503 so many times before it works. */
  unavailable?: number;
  /** Looks at PowerState until a change shows. */
  slowPower?: number;
  /** Never changes its power. */
  stuck?: boolean;
};

export type FakeBmc = {
  url: string;
  systemPath: string;
  quirks: BmcQuirks;
  /** `POST ForceOff`, `PATCH Pxe Once UEFI`, `session`, `logout`. */
  log: string[];
  power: 'On' | 'Off';
  boot: { target: string; enabled: string };
  sessions: Set<string>;
  onPower: (power: 'On' | 'Off') => void;
  driverInfo: () => Record<string, unknown>;
  /** The machine changes its power by itself. */
  setPower: (power: 'On' | 'Off') => void;
  close: () => Promise<void>;
};

const SYSTEM = '/redfish/v1/Systems/1';
const ALLOWED = ['On', 'ForceOff', 'GracefulShutdown', 'ForceRestart'];

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
}

function answer(response: ServerResponse, status: number, body?: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

const problem = (message: string) => ({
  error: { code: 'Base.1.0.GeneralError', message, '@Message.ExtendedInfo': [{ Message: message }] },
});

/** Starts a Redfish service for one machine on loopback. */
export async function startFakeBmc(quirks: BmcQuirks = {}): Promise<FakeBmc> {
  let etag = 1;
  let shownPower: 'On' | 'Off' = 'Off';
  let looksLeft = 0;

  const authorized = (request: IncomingMessage): boolean => {
    const token = request.headers['x-auth-token'];
    if (bmc.quirks.auth === 'session') return typeof token === 'string' && bmc.sessions.has(token);
    return request.headers.authorization === `Basic ${Buffer.from('admin:s3cret').toString('base64')}`;
  };
  const systemDocument = () => {
    if (looksLeft > 0) looksLeft -= 1;
    else shownPower = bmc.power;
    const reset = {
      target: `${SYSTEM}/Actions/ComputerSystem.Reset`,
      ...(bmc.quirks.actionInfo
        ? { '@Redfish.ActionInfo': `${SYSTEM}/ResetActionInfo` }
        : { 'ResetType@Redfish.AllowableValues': bmc.quirks.allowed ?? ALLOWED }),
    };
    return {
      '@odata.id': SYSTEM,
      Id: '1',
      PowerState: shownPower,
      Boot: { BootSourceOverrideTarget: bmc.boot.target, BootSourceOverrideEnabled: bmc.boot.enabled },
      Actions: { '#ComputerSystem.Reset': reset },
    };
  };
  const reset = (type: string): void => {
    if (bmc.quirks.stuck) return;
    const next =
      type === 'ForceOff' || type === 'GracefulShutdown'
        ? 'Off'
        : type === 'PushPowerButton'
          ? bmc.power === 'On'
            ? 'Off'
            : 'On'
          : 'On';
    looksLeft = bmc.quirks.slowPower ?? 0;
    bmc.power = next;
    bmc.onPower(next);
  };
  const patch = (request: IncomingMessage, body: Record<string, unknown>, response: ServerResponse): void => {
    const match = request.headers['if-match'];
    if (bmc.quirks.wantsEtag && match !== `"${etag}"`) return answer(response, 412, problem('ETag needed'));
    if (bmc.quirks.refusesEtag && match !== undefined) return answer(response, 412, problem('no ETag wanted'));
    const boot = body['Boot'] as Record<string, string>;
    if (bmc.quirks.refusesMode && boot['BootSourceOverrideMode'] !== undefined)
      return answer(response, 400, problem('mode is fixed'));
    bmc.log.push(
      ['PATCH', boot['BootSourceOverrideTarget'], boot['BootSourceOverrideEnabled'], boot['BootSourceOverrideMode']]
        .filter(Boolean)
        .join(' '),
    );
    bmc.boot = { target: boot['BootSourceOverrideTarget'] ?? '', enabled: boot['BootSourceOverrideEnabled'] ?? '' };
    etag += 1;
    answer(response, 204);
  };
  const server = createServer((request, response) => {
    void (async () => {
      const body = await bodyOf(request);
      const what = `${request.method} ${request.url}`;
      if ((bmc.quirks.unavailable ?? 0) > 0) {
        bmc.quirks.unavailable = (bmc.quirks.unavailable ?? 0) - 1;
        return answer(response, 503, problem('starting'), { 'retry-after': '1' });
      }
      if (what === 'POST /redfish/v1/SessionService/Sessions') {
        if (body['UserName'] !== 'admin' || body['Password'] !== 's3cret')
          return answer(response, 401, problem('wrong password'));
        const token = `token-${bmc.sessions.size}-${Date.now()}`;
        bmc.sessions.add(token);
        bmc.log.push('session');
        return answer(
          response,
          201,
          {},
          { 'x-auth-token': token, location: `/redfish/v1/SessionService/Sessions/${token}` },
        );
      }
      if (!authorized(request)) return answer(response, 401, problem('login needed'));
      if (what.startsWith('DELETE /redfish/v1/SessionService/Sessions/')) {
        bmc.sessions.delete(what.split('/').at(-1) ?? '');
        bmc.log.push('logout');
        return answer(response, 204);
      }
      if (what === 'GET /redfish/v1/Systems') {
        const Members = (bmc.quirks.systems ?? [SYSTEM]).map((path) => ({ '@odata.id': path }));
        return answer(response, 200, { Members });
      }
      if (what === `GET ${SYSTEM}`) return answer(response, 200, systemDocument(), { etag: `"${etag}"` });
      if (what === `PATCH ${SYSTEM}`) return patch(request, body, response);
      if (what === `GET ${SYSTEM}/ResetActionInfo`) {
        return answer(response, 200, {
          Parameters: [{ Name: 'ResetType', AllowableValues: bmc.quirks.allowed ?? ALLOWED }],
        });
      }
      if (what === `POST ${SYSTEM}/Actions/ComputerSystem.Reset`) {
        const type = String(body['ResetType']);
        if (!(bmc.quirks.allowed ?? ALLOWED).includes(type))
          return answer(response, 400, problem(`${type} is not supported`));
        bmc.log.push(`POST ${type}`);
        reset(type);
        return answer(response, 204);
      }
      return answer(response, 404, problem('no such resource'));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const bmc: FakeBmc = {
    url,
    systemPath: SYSTEM,
    quirks,
    log: [],
    power: 'Off',
    boot: { target: 'None', enabled: 'Disabled' },
    sessions: new Set(),
    onPower: () => undefined,
    driverInfo: () => ({
      redfish_address: url,
      redfish_system_id: SYSTEM,
      redfish_username: 'admin',
      redfish_password: 's3cret',
    }),
    setPower: (power) => {
      bmc.power = power;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return bmc;
}
