import { beforeEach, describe, expect, test } from 'vitest';

import { createBmc, type Metal, RESET_TYPES } from './bmc.ts';
import type { PowerEvent } from './machine.ts';

/** A machine that only notes what is done to it. */
function notedMetal() {
  const calls: string[] = [];
  const listeners: ((event: PowerEvent) => void)[] = [];
  let on = false;
  const emit = (event: PowerEvent) => listeners.forEach((listener) => listener(event));
  const metal: Metal = {
    hardware: {
      name: 'm1',
      uuid: '00000000-0000-4000-8000-000000000001',
      memoryMiB: 1024,
      cpus: 2,
      mac: '52:54:00:00:00:01',
    },
    isOn: () => on,
    powerOn: async (boot) => {
      calls.push(`on ${boot}`);
      on = true;
      emit('on');
    },
    powerOff: async () => {
      calls.push('off');
      on = false;
      emit('off');
    },
    powerButton: async () => void calls.push('button'),
    reset: async () => {
      calls.push('reset');
      emit('reset');
    },
    setNextBoot: async (boot) => void calls.push(`next ${boot}`),
    onPower: (listener) => void listeners.push(listener),
  };
  return { metal, calls, guestPowersOff: () => ((on = false), emit('off')), guestReboots: () => emit('reset') };
}

const SYSTEM = '/redfish/v1/Systems/m1';
const headers = { authorization: `Basic ${Buffer.from('admin:secret').toString('base64')}` };

let lab: ReturnType<typeof notedMetal>;
let app: ReturnType<typeof createBmc>;
beforeEach(() => {
  lab = notedMetal();
  app = createBmc(new Map([['m1', lab.metal]]), { username: 'admin', password: 'secret' });
});

const get = async (url: string) => (await app.inject({ url, headers })).json<Record<string, unknown>>();
const patchBoot = (Boot: Record<string, string>) =>
  app.inject({ method: 'PATCH', url: SYSTEM, headers, payload: { Boot } });
const reset = (ResetType: string) =>
  app.inject({ method: 'POST', url: `${SYSTEM}/Actions/ComputerSystem.Reset`, headers, payload: { ResetType } });
const bootOf = async () => (await get(SYSTEM))['Boot'] as Record<string, unknown>;

describe('a client finds its way', () => {
  test('from the root, which needs no login, to the system and its reset action', async () => {
    expect((await app.inject({ url: '/redfish/v1/' })).json()).toMatchObject({
      Systems: { '@odata.id': '/redfish/v1/Systems' },
    });
    expect(await get('/redfish/v1/Systems')).toMatchObject({ Members: [{ '@odata.id': SYSTEM }] });
    expect(await get(SYSTEM)).toMatchObject({
      PowerState: 'Off',
      Actions: { '#ComputerSystem.Reset': { 'ResetType@Redfish.AllowableValues': RESET_TYPES } },
    });
  });

  test.each([undefined, 'Basic YWRtaW46d3Jvbmc=', 'Bearer x'])('login %s is refused', async (authorization) => {
    const answer = await app.inject({ url: SYSTEM, headers: authorization === undefined ? {} : { authorization } });
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['www-authenticate']).toContain('Basic');
  });

  test('an unknown system is 404 with a Redfish error', async () => {
    const answer = await app.inject({ url: '/redfish/v1/Systems/other', headers });
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ error: { code: 'Base.1.0.ResourceMissingAtURI' } });
  });
});

describe('power', () => {
  test('a guest that powers itself off shows as Off', async () => {
    await reset('On');
    expect(await get(SYSTEM)).toMatchObject({ PowerState: 'On' });
    lab.guestPowersOff();
    expect(await get(SYSTEM)).toMatchObject({ PowerState: 'Off' });
  });

  test('GracefulShutdown presses the button and leaves the rest to the guest', async () => {
    await reset('On');
    await reset('GracefulShutdown');
    expect(lab.calls).toContain('button');
    expect(await get(SYSTEM)).toMatchObject({ PowerState: 'On' });
  });

  test('switching on what is on changes nothing', async () => {
    await reset('On');
    await reset('On');
    expect(lab.calls.filter((call) => call.startsWith('on'))).toHaveLength(1);
  });

  test('an unknown reset type is refused, and nothing happens', async () => {
    const answer = await reset('Nmi');
    expect(answer.statusCode).toBe(400);
    expect(answer.json<{ error: { message: string } }>().error.message).toMatch(/^cannot set ResetType to "Nmi"/);
    expect(lab.calls).toEqual([]);
  });
});

describe('boot override', () => {
  test("Once counts for one start, and the guest's own reboot is the next", async () => {
    await patchBoot({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' });
    await reset('On');
    expect(lab.calls).toEqual(['on Pxe', 'next None']);
    expect(await bootOf()).toMatchObject({ BootSourceOverrideEnabled: 'Disabled', BootSourceOverrideTarget: 'None' });
  });

  test("Once on a running machine is used up by the guest's reboot", async () => {
    await reset('On');
    await patchBoot({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' });
    lab.guestReboots();
    await expect.poll(() => lab.calls).toEqual(['on None', 'next Pxe', 'next None']);
  });

  test('Continuous stays', async () => {
    await patchBoot({ BootSourceOverrideTarget: 'Hdd', BootSourceOverrideEnabled: 'Continuous' });
    await reset('On');
    await reset('ForceRestart');
    await reset('ForceOff');
    await reset('On');
    expect(lab.calls).toEqual(['on Hdd', 'reset', 'off', 'on Hdd']);
  });

  test.each([
    [{ BootSourceOverrideTarget: 'Usb' }, 'BootSourceOverrideTarget'],
    [{ BootSourceOverrideEnabled: 'Sometimes' }, 'BootSourceOverrideEnabled'],
    [{ BootSourceOverrideMode: 'Legacy' }, 'BootSourceOverrideMode'],
  ])('%o is refused and names the property', async (boot, name) => {
    const answer = await patchBoot(boot);
    expect(answer.statusCode).toBe(400);
    expect(answer.body).toContain(name);
    expect(await bootOf()).toMatchObject({ BootSourceOverrideEnabled: 'Disabled' });
  });
});
