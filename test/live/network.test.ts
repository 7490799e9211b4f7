import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { findQemuMachine } from '../../arch/qemu.ts';
import type { InspectionData } from '../../agent/api/inventory.ts';
import { parseLldpFrame, type Tlv } from '../../agent/hardware/lldp.ts';
import { buildRamdisk } from '../../builder/build.ts';
import { openHost } from '../../builder/host/system.ts';
import { qemuTools } from '../../builder/tools.ts';
import { createProgress } from '../../cli/progress.ts';
import { answerDhcp6 } from '../fakes/dhcp6-server.ts';
import { chooseAcceleration } from '../../machine/acceleration.ts';
import { bootArguments, runMachine } from '../../machine/boot.ts';

// A machine whose only router speaks IPv6 alone, whose second card hangs on a switch port that names two VLANs over LLDP, in a network
// with a DHCPv6 server, and that has a BMC: the ramdisk gets its addresses, hears the switch, makes the VLANs, asks the BMC, and hands it all in.

/** A frame of a switch: its MAC, port Eth1/1, two minutes, VLANs 10 and 20. */
const FRAME = Buffer.from(
  '0180c200000e02005e00530188cc02070402005e0053010407054574' +
    '68312f3106020078fe0a0080c203000a03763130fe0a0080c20300140376323000000000',
  'hex',
);
/** What the DHCPv6 server of that network gives; nobody advertises routes there. */
const LEASE = { address: '2001:db8:5::17', dns: '2001:db8:5::53' };
/** Of QEMU's boards the one that has a BMC. */
const ARCH = 'x86_64';
const PATIENCE_MS = 900_000;
type Body = InspectionData & { lldp_raw?: Record<string, Tlv[]> };

const controller = new AbortController();
const lines: string[] = [];
let folder: string;
let server: Server;
let wire: Socket;
let sending: ReturnType<typeof setInterval>;
let running: Promise<unknown>;
let posted: Promise<Body>;

/** A port of UDP that nobody has right now. */
async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(resolve));
  return port;
}

/** Takes an inspection on the host's IPv6 loopback, which QEMU's network shows as fec0::2. */
async function listen(): Promise<number> {
  let take: (body: Body) => void = () => undefined;
  posted = new Promise((resolve) => (take = resolve));
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (piece: Buffer) => (text += piece.toString()));
    request.on('end', () => {
      response
        .writeHead(202, { 'Content-Type': 'application/json' })
        .end('{"uuid":"11111111-2222-4333-8444-555555555555"}');
      take(JSON.parse(text) as Body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
  return (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-network-'));
  const progress = createProgress('silent', process.stderr);
  const host = await openHost();
  const { signal } = controller;
  const output = join(folder, 'ingot');
  await buildRamdisk({
    host,
    arch: ARCH,
    elements: ['agent', 'ipmitool'],
    compress: 'zstd:3',
    output,
    progress,
    signal,
  });
  const machine = findQemuMachine(ARCH);
  if (machine === undefined) throw new Error(`QEMU plays no ${ARCH}`);
  const tools = await qemuTools(host, machine, { progress, signal });
  const { acceleration } = await chooseAcceleration(`${output}.kernel`, host.cache, {
    tools,
    machine,
    start: host.start,
    signal,
  });
  const port = await listen();
  // QEMU's socket network: one datagram is one frame.
  const [switchPort, cardPort] = [await freeUdpPort(), await freeUdpPort()];
  wire = createSocket('udp4');
  await new Promise<void>((resolve) => wire.bind(switchPort, '127.0.0.1', resolve));
  sending = setInterval(() => wire.send(FRAME, cardPort, '127.0.0.1'), 2000);
  wire.on('message', (frame) => {
    const answer = answerDhcp6(frame, LEASE);
    if (answer !== undefined) wire.send(answer, cardPort, '127.0.0.1');
  });
  const parameters = [
    `ipa-inspection-callback-url=http://[fec0::2]:${port}/v1/continue_inspection`,
    'ipa-inspection-collectors=default,lldp ipa-lldp-timeout=8 ipa-collect-lldp=1 ipa-disk-wait-attempts=1',
    // QEMU's first MAC
    'ipa-enable-vlan-interfaces=all BOOTIF=01-52-54-00-12-34-56',
  ];
  const args = bootArguments(
    { machine, tools, acceleration },
    { kernel: `${output}.kernel`, initramfs: `${output}.initramfs`, append: parameters.join(' ') },
    { cpus: 2, memoryMiB: 1024, disks: [], forwards: [], uefi: false },
    false,
  ).map((word) => word.replace('user,id=net0,ipv6=off', 'user,id=net0,ipv4=off,ipv6=on'));
  const more = [
    ['-netdev', `socket,id=net1,udp=127.0.0.1:${switchPort},localaddr=127.0.0.1:${cardPort}`],
    ['-device', 'virtio-net-pci,netdev=net1,mac=52:54:00:12:34:57,romfile='],
    ['-device', 'ipmi-bmc-sim,id=bmc0', '-device', 'isa-ipmi-kcs,bmc=bmc0'],
  ].flat();
  running = runMachine({
    tools,
    program: machine.program,
    args: [...args, ...more],
    start: host.start,
    signal,
    onLine: (line) => lines.push(line),
  }).catch(() => undefined);
});
afterAll(async () => {
  controller.abort();
  clearInterval(sending);
  await running;
  wire?.close();
  server?.close();
  await rm(folder, { recursive: true, force: true });
});

test('an inspection over IPv6 alone has LLDP, the VLANs of the switch, and the BMC', async () => {
  const timeout = new Promise<never>((_resolve, reject) => {
    const stop = setTimeout(
      () => reject(new Error(`nothing was posted:\n${lines.slice(-60).join('\n')}`)),
      PATIENCE_MS,
    );
    stop.unref();
  });
  const { inventory, lldp_raw: lldp, error } = await Promise.race([posted, timeout]);
  expect(error).toBeNull();
  const byMac = (mac: string) => inventory.interfaces.filter((nic) => nic.mac_address === mac);
  const [boot] = byMac('52:54:00:12:34:56');
  expect(boot).toMatchObject({ ipv4_address: null, has_carrier: true, driver: 'virtio_net', lldp: [] });
  expect(boot?.ipv6_address).toMatch(/^fec0:/);
  const second = byMac('52:54:00:12:34:57');
  const [card] = second.filter(({ name }) => !name.includes('.'));
  expect(card).toMatchObject({ lldp: parseLldpFrame(FRAME), ipv4_address: null, ipv6_address: LEASE.address });
  expect(second.map(({ name }) => name).toSorted()).toEqual([card?.name, `${card?.name}.10`, `${card?.name}.20`]);
  expect(lldp).toEqual({ [boot?.name ?? '']: [], [card?.name ?? '']: parseLldpFrame(FRAME) });
  // QEMU's BMC has no network: an address that is none is what the agent says then.
  expect(inventory).toMatchObject({ bmc_address: '0.0.0.0', bmc_v6address: '::/0' });
  expect(inventory.bmc_mac).toBeUndefined();
});
