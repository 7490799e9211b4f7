import { afterEach, describe, expect, test, vi } from 'vitest';

import { chooseResetType, redfishBmc } from '../../../conductor/bmc/redfish.ts';
import { redfishSettings } from '../../../conductor/bmc/settings.ts';
import { type BmcQuirks, type FakeBmc, startFakeBmc } from '../../fakes/fake-bmc.ts';
import { quickClock } from '../../fakes/running-conductor.ts';

vi.setConfig({ testTimeout: 30_000 });

const started: FakeBmc[] = [];
afterEach(async () => {
  for (const bmc of started.splice(0)) await bmc.close();
});

async function setUp(quirks: BmcQuirks = {}, driverInfo: Record<string, unknown> = {}) {
  const fake = await startFakeBmc(quirks);
  started.push(fake);
  return { fake, bmc: redfishBmc({ ...fake.driverInfo(), ...driverInfo }, quickClock) };
}

describe('power', () => {
  test('is switched on and off, and nothing is sent when it is there already', async () => {
    const { fake, bmc } = await setUp();
    expect(await bmc.power()).toBe('power off');
    await bmc.setPower('power off');
    expect(fake.log).toEqual([]);
    await bmc.setPower('power on');
    expect(await bmc.power()).toBe('power on');
    await bmc.setPower('rebooting');
    await bmc.setPower('power off');
    expect(fake.log).toEqual(['POST On', 'POST ForceRestart', 'POST ForceOff']);
  });

  test('is waited for when the BMC is slow', async () => {
    const { fake, bmc } = await setUp({ slowPower: 5 });
    await bmc.setPower('power on');
    expect(fake.power).toBe('On');
  });

  test('that never changes is told of', async () => {
    const { bmc } = await setUp({ stuck: true });
    await expect(bmc.setPower('power on')).rejects.toMatchObject({ code: 'POWER_TIMEOUT' });
  });

  test('asks the operating system first when it is to be soft', async () => {
    const { fake, bmc } = await setUp();
    await bmc.setPower('power on');
    await bmc.setPower('soft power off');
    expect(fake.log).toEqual(['POST On', 'POST GracefulShutdown']);
  });

  test('rebooting a machine that is off switches it on', async () => {
    const { fake, bmc } = await setUp();
    await bmc.setPower('rebooting');
    expect(fake.log).toEqual(['POST On']);
  });
});

describe('what BMCs differ in', () => {
  test('a BMC with one system needs no path', async () => {
    const { fake, bmc } = await setUp({}, { redfish_system_id: undefined });
    await bmc.setPower('power on');
    await bmc.setBootDevice('pxe', { once: true, uefi: true });
    expect(fake.log).toEqual(['POST On', 'PATCH Pxe Once UEFI']);
  });

  test('reset types come from the action, from its ActionInfo, or are taken for granted', async () => {
    const { fake, bmc } = await setUp({ actionInfo: true, allowed: ['ForceOn', 'ForceOff', 'PowerCycle'] });
    await bmc.setPower('power on');
    await bmc.setPower('rebooting');
    expect(fake.log).toEqual(['POST ForceOn', 'POST PowerCycle']);
    expect(chooseResetType('power off', undefined)).toBe('ForceOff');
  });

  test('a BMC without a fitting reset type is told of, with what it offers', () => {
    expect(() => chooseResetType('power off', ['Nmi'])).toThrow(/ForceOff, .*it offers Nmi/);
  });

  test.each([
    ['ETag wanted', { wantsEtag: true }, 'PATCH Pxe Once UEFI'],
    ['If-Match refused', { refusesEtag: true }, 'PATCH Pxe Once UEFI'],
    ['boot mode fixed', { refusesMode: true }, 'PATCH Pxe Once'],
  ])('boot device: %s', async (_name, quirks, expected) => {
    const { fake, bmc } = await setUp(quirks);
    await bmc.setBootDevice('pxe', { once: true, uefi: true });
    expect(fake.log).toEqual([expected]);
  });

  test('the disk is set for good', async () => {
    const { fake, bmc } = await setUp();
    await bmc.setBootDevice('disk', { once: false, uefi: false });
    expect(fake.log).toEqual(['PATCH Hdd Continuous Legacy']);
  });

  test('a BMC that is starting (503) is waited for', async () => {
    const { bmc } = await setUp({ unavailable: 3 });
    expect(await bmc.power()).toBe('power off');
  });
});

describe('login', () => {
  test('auto turns to a session where basic authentication is refused, and ends it', async () => {
    const { fake, bmc } = await setUp({ auth: 'session' });
    expect(await bmc.power()).toBe('power off');
    expect(fake.log).toEqual(['session', 'logout']);
    expect(fake.sessions.size).toBe(0);
  });

  test.each(['auto', 'basic', 'session'])(
    'a wrong password is told of, without the password (%s)',
    async (redfish_auth_type) => {
      const { bmc } = await setUp({}, { redfish_password: 'falsch', redfish_auth_type });
      const failure = await bmc.power().catch((error: unknown) => error as Error);
      expect(failure).toMatchObject({ code: 'BMC_LOGIN' });
      expect(String(failure)).not.toContain('falsch');
    },
  );

  test('basic alone does not try a session', async () => {
    const { fake, bmc } = await setUp({ auth: 'session' }, { redfish_auth_type: 'basic' });
    await expect(bmc.power()).rejects.toMatchObject({ code: 'BMC_LOGIN' });
    expect(fake.log).toEqual([]);
  });
});

describe('what is not a BMC', () => {
  test('nobody there', async () => {
    const { bmc } = await setUp({}, { redfish_address: 'http://127.0.0.1:9' });
    await expect(bmc.power()).rejects.toMatchObject({ code: 'BMC_UNREACHABLE' });
  });

  test('a wrong system path', async () => {
    const { bmc } = await setUp({}, { redfish_system_id: '/redfish/v1/Systems/2' });
    await expect(bmc.power()).rejects.toMatchObject({ code: 'BMC_SYSTEM_NOT_FOUND' });
  });

  test.each([
    [[], 'manages none'],
    [['/redfish/v1/Systems/1', '/redfish/v1/Systems/2'], 'manages /redfish/v1/Systems/1, /redfish/v1/Systems/2'],
  ])('no system path, and systems %j', async (systems, reason) => {
    const { bmc } = await setUp({ systems }, { redfish_system_id: undefined });
    await expect(bmc.power()).rejects.toThrow(reason);
  });

  test('something else that speaks HTTP', async () => {
    const { bmc } = await setUp({}, { redfish_system_id: '/redfish/v1/Systems/1/ResetActionInfo' });
    await expect(bmc.power()).rejects.toMatchObject({ code: 'BMC_NOT_REDFISH' });
  });

  test.each([
    [{}, 'redfish_address'],
    [{ redfish_address: 'ftp://x', redfish_system_id: '/a' }, 'ftp://x'],
    [{ redfish_address: 'http://x', redfish_system_id: 'Systems/1' }, 'redfish_system_id'],
    [{ redfish_address: 'http://x', redfish_system_id: '/a', redfish_auth_type: 'kerberos' }, 'redfish_auth_type'],
    [{ redfish_address: 'http://x', redfish_system_id: '/a', redfish_verify_ca: '/no/pem' }, 'redfish_verify_ca'],
  ])('driver_info that does not do is told of: %j', (driverInfo, word) => {
    expect(() => redfishSettings(driverInfo)).toThrow(word);
  });

  test('an address without a scheme is https', () => {
    expect(redfishSettings({ redfish_address: '192.0.2.7', redfish_system_id: '/a' }).address.href).toBe(
      'https://192.0.2.7/',
    );
  });
});
