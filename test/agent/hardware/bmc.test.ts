import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { detectBmc } from '../../../agent/hardware/bmc.ts';
import { parseLan6Addresses, parseLanPrint, speaksIpv6 } from '../../../agent/hardware/ipmitool.ts';
import { Failure } from '../../../system/failure.ts';
import { fakeOs, fakeRun, memoryFiles } from '../../fakes/agent-os.ts';

const printed = (name: string): string =>
  readFileSync(join(import.meta.dirname, '..', '..', 'fixtures', 'ipmitool', `${name}.txt`), 'utf8');
const VERSION = { 'ipmitool -V': 'ipmitool version 1.8.19\n' };
const WITH_DEVICE = { '/dev/ipmi0': '' };

async function detect(
  answers: Record<string, string>,
  files: Record<string, string> = WITH_DEVICE,
  loadModules = true,
) {
  const run = fakeRun(answers);
  const lines: string[] = [];
  const os = fakeOs({ run, files: memoryFiles(files) });
  return { bmc: await detectBmc({ os, loadModules, log: (line) => lines.push(line) }), calls: run.calls, lines };
}

describe('the BMC', () => {
  test('is told with the address and MAC of its channel', async () => {
    const { bmc } = await detect({ ...VERSION, 'ipmitool lan print 1': printed('supermicro-lan1') });
    expect(bmc).toEqual({ bmc_address: '192.0.2.61', bmc_v6address: '::/0', bmc_mac: '3c:ec:ef:44:55:66' });
  });

  test('is found behind channels that there are not, and ones without an address', async () => {
    const { bmc } = await detect({
      ...VERSION,
      'ipmitool lan print 1': printed('unconfigured-lan'),
      'ipmitool lan print 2': printed('hpe-lan2'),
      'ipmitool lan print 8': printed('supermicro-lan1'),
    });
    expect(bmc).toEqual({ bmc_address: '198.51.100.9', bmc_v6address: '::/0', bmc_mac: '94:18:82:00:11:22' });
  });

  test('that has only IPv6 is told with that, and its MAC', async () => {
    const { bmc } = await detect({
      ...VERSION,
      'ipmitool lan print 1': printed('unconfigured-lan'),
      'ipmitool lan6 print 1 enables': printed('lan6-enables'),
      'ipmitool lan6 print 1 dynamic_addr': printed('lan6-dynamic'),
    });
    expect(bmc).toEqual({ bmc_address: '0.0.0.0', bmc_v6address: '2001:db8:5::61', bmc_mac: 'd0:94:66:00:53:aa' });
  });

  test('without any address has zero ones and no MAC', async () => {
    const { bmc } = await detect({ ...VERSION, 'ipmitool lan print 1': printed('unconfigured-lan') });
    expect(bmc).toEqual({ bmc_address: '0.0.0.0', bmc_v6address: '::/0' });
  });

  test('of a machine without an IPMI device is nothing, and ipmitool is not called', async () => {
    const { bmc, calls } = await detect(VERSION, {});
    expect(bmc).toEqual({ bmc_address: null, bmc_v6address: null });
    const drivers = ['msghandler', 'devintf', 'si', 'ssif'].map((name) => `modprobe -q ipmi_${name}`);
    expect(calls).toEqual(['ipmitool -V', ...drivers]);
    expect((await detect(VERSION, {}, false)).calls).toEqual(['ipmitool -V']);
  });

  test('of a ramdisk without ipmitool is nothing, and the log says what to do', async () => {
    const { bmc, lines } = await detect({});
    expect(bmc).toEqual({ bmc_address: null, bmc_v6address: null });
    expect(lines.join()).toContain('the element ipmitool brings it');
    const withoutDevice = await detect({}, {});
    expect(withoutDevice).toMatchObject({ calls: ['ipmitool -V'], lines: [] });
  });

  test('that does not answer is no reason to fail', async () => {
    const run = fakeRun(VERSION);
    const os = fakeOs({
      files: memoryFiles({ '/dev/ipmi/0': '' }),
      run: (file, args) =>
        args[0] === 'lan'
          ? Promise.reject(new Failure('COMMAND_FAILED', 'it did not end within 20000 ms'))
          : run(file, args),
    });
    const bmc = await detectBmc({ os, loadModules: true, log: () => undefined });
    expect(bmc).toEqual({ bmc_address: '0.0.0.0', bmc_v6address: '::/0' });
  });
});

describe('what ipmitool prints', () => {
  test('of IPv6 counts where it is enabled, in use and not zero', () => {
    expect(parseLan6Addresses(printed('lan6-dynamic'))).toBe('2001:db8:5::61');
    expect(parseLan6Addresses(printed('lan6-static'))).toBe('2001:db8:6::62');
    expect(speaksIpv6('IPv6/IPv4 Addressing Enables: ipv4\n')).toBe(false);
    expect(speaksIpv6(printed('lan6-enables'))).toBe(true);
  });

  test.each([
    ['IP Address              : localhost\nMAC Address             : none\n'],
    ['Channel 3 is not a LAN channel!\n'],
    ['Get Channel Info command failed: Parameter out of range\n'],
    [''],
  ])('%j is no channel', (text) => {
    expect(parseLanPrint(text)).toEqual({ address: undefined, mac: undefined });
  });

  test('may be anything without an error', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom('IP Address : ', 'MAC Address:', '    Address: ::', 'Status: active', ': :'),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const text = lines.join('\n');
        const { address, mac } = parseLanPrint(text);
        expect(address === undefined || /^[\d.]+$/.test(address)).toBe(true);
        expect(mac === undefined || mac.length === 17).toBe(true);
        parseLan6Addresses(text);
        speaksIpv6(text);
      }),
    );
  });
});
