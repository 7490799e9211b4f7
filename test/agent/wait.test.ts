import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { AllDisksSkipped } from '../../agent/hardware/root-disk.ts';
import type { NetworkAddress } from '../../agent/os/door.ts';
import { waitForDisks, waitForNetwork } from '../../agent/wait.ts';
import { fakeOs, memoryFiles } from '../fakes/agent-os.ts';
import { DISK, fakeParts, MAC, NETWORK } from '../fakes/agent-parts.ts';
import { fakeClock } from '../fakes/clock.ts';

let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), 'ingot-wait-'));
});
afterEach(() => rm(stateDirectory, { recursive: true }));

const lo: NetworkAddress = { interface: 'lo', address: '127.0.0.1', family: 4, mac: '', internal: true };
const linkLocal: NetworkAddress = { interface: 'e', address: 'fe80::1', family: 6, mac: MAC, internal: false };
const routed: NetworkAddress = { interface: 'e', address: 'fd00::1', family: 6, mac: MAC, internal: false };

async function setup(options: {
  macs?: string[];
  addresses?: () => NetworkAddress[];
  cmdline?: string;
  disk?: () => void;
}) {
  const clock = fakeClock();
  const { parts, output } = await fakeParts({
    cmdline: options.cmdline ?? '',
    stateDirectory,
    os: fakeOs({ clock, addresses: options.addresses ?? (() => [routed]) }),
    signal: new AbortController().signal,
    hardware: {
      macs: async () => options.macs ?? [MAC],
      rootDisk: async () => {
        options.disk?.();
        return DISK;
      },
    },
  });
  return { parts, output, clock };
}

describe('the network', () => {
  test('that is there is not waited for', async () => {
    const { parts, clock } = await setup({});
    await waitForNetwork(parts);
    expect(clock.sleeps).toEqual([]);
  });

  test('without an address of its own is waited for', async () => {
    let calls = 0;
    const { parts, clock, output } = await setup({ addresses: () => (++calls < 4 ? [lo, linkLocal] : [lo, routed]) });
    await waitForNetwork(parts);
    expect(clock.sleeps).toHaveLength(3);
    expect(output()).toContain('waiting for an address from DHCP');
  });

  test('that has only an address of a family that no URL has is waited for', async () => {
    const four: NetworkAddress = { ...routed, address: '192.0.2.4', family: 4 };
    let calls = 0;
    const { parts, clock, output } = await setup({
      cmdline: 'ipa-api-url=http://192.0.2.1:6385',
      addresses: () => (++calls < 4 ? [lo, routed] : [lo, routed, four]),
    });
    await waitForNetwork(parts);
    expect(clock.sleeps).toHaveLength(3);
    expect(output()).toContain('waiting for an IPv4 address');
    const either = await setup({ cmdline: 'ipa-api-url=http://192.0.2.1:6385,http://[fd00::2]:6385' });
    await waitForNetwork(either.parts);
    expect(either.clock.sleeps).toEqual([]);
  });

  test('that never comes is told of after a minute, and the agent goes on', async () => {
    const { parts, clock, output } = await setup({ macs: [] });
    await waitForNetwork(parts);
    expect(clock.monotonic()).toBeGreaterThan(60_000);
    expect(clock.monotonic()).toBeLessThan(61_000);
    expect(output()).toContain('after 60 s there is still not a network interface');
  });
});

describe('an init that waits for the interface of the boot', () => {
  const waits = '/run/ingot/network-wait';

  test('is waited for, although some other interface has an address', async () => {
    const { parts, clock, output } = await setup({});
    const files = memoryFiles({ [waits]: '' });
    let looks = 0;
    const exists: typeof files.exists = async (path) => (path === waits ? ++looks < 4 : files.exists(path));
    // VLANs are made meanwhile: the address that init waits for may be on one of them.
    let startedAt: number | undefined;
    parts.hardware.network = { ...NETWORK, start: () => void (startedAt ??= clock.monotonic()) };
    await waitForNetwork({ ...parts, os: { ...parts.os, files: { ...files, exists } } });
    expect(startedAt).toBe(0);
    expect(clock.sleeps).toHaveLength(3);
    expect(output()).toContain('waiting for the network');
  });

  test('and died in that wait does not hold up the agent for ever', async () => {
    const { parts, clock } = await setup({});
    await waitForNetwork({ ...parts, os: { ...parts.os, files: memoryFiles({ [waits]: '' }) } });
    expect(clock.monotonic()).toBeGreaterThanOrEqual(600_000);
    expect(clock.monotonic()).toBeLessThan(601_000);
  });
});

describe('the disks', () => {
  test('are waited for as often and as long as the parameters say, then only told of', async () => {
    const { parts, clock, output } = await setup({
      cmdline: 'ipa-disk-wait-attempts=3 ipa-disk-wait-delay=7',
      disk: () => {
        throw new Error('none matches');
      },
    });
    await waitForDisks(parts, undefined);
    expect(clock.sleeps).toEqual([7000, 7000]);
    expect(output()).toContain('no disk to write to: none matches');
  });

  test('that are all on the skip list are not waited for', async () => {
    const { parts, clock, output } = await setup({
      disk: () => {
        throw new AllDisksSkipped('DeviceNotFound', 'skip_block_devices names it');
      },
    });
    await waitForDisks(parts, undefined);
    expect(clock.sleeps).toEqual([]);
    expect(output()).toContain('no disk to write to');
  });

  test('that are there are named', async () => {
    const { parts, clock, output } = await setup({});
    await waitForDisks(parts, undefined);
    expect(clock.sleeps).toEqual([]);
    expect(output()).toContain('disk for an image: /dev/sda, 8.0 GiB, QEMU HARDDISK');
  });
});
