import { defineFailures, reasonOf } from '../../system/failure.ts';
import type { AgentOs } from '../os/door.ts';
import { type LldpData, parseLldpFrame } from './lldp.ts';
import { listNetworkCards } from './network-cards.ts';

export const lldpFailure = defineFailures({
  NO_LISTENER: {
    message: (detail) => `cannot listen for LLDP: ${detail}`,
    hint: 'ramdisks made of Debian have socat; those of RPM packages do not',
  },
});

const POLL_MS = 500;
const RETRY_MS = 1000;
/** Seconds after a frame until socat ends by itself. */
const IDLE_SECONDS = '0.2';

const hex = (bytes: Buffer): string => `x${bytes.toString('hex')}`;

/**
 * What makes socat write the next LLDP frame of an interface to its standard output. Node has no packet sockets.
 * The protocol is given with the interface, in the address (packet(7), struct sockaddr_ll without its first field): a socket that
 * has it from the start would hear all interfaces until then. SOL_PACKET (263), PACKET_ADD_MEMBERSHIP (1), PACKET_MR_PROMISC (1):
 * the kernel ends the promiscuous mode with the socket, whatever happens to this process.
 * @param index of the interface
 */
export function listenArguments(index: number): string[] {
  const address = Buffer.alloc(18);
  address.writeUInt16BE(0x88_cc, 0);
  address.writeInt32LE(index, 2); // all machines that there are ramdisks for are little-endian
  const membership = Buffer.alloc(16);
  membership.writeInt32LE(index, 0);
  membership.writeUInt16LE(1, 4);
  const socket = `SOCKET-RECVFROM:17:3:0:${hex(address)},setsockopt-listen=263:1:${hex(membership)}`;
  return ['-u', '-T', IDLE_SECONDS, socket, 'STDOUT'];
}

/** Intel's i40e has an agent of its own in its firmware, which keeps the frames to itself until it is told to stop. */
async function stopFirmwareAgents(os: AgentOs, log: (message: string) => void): Promise<void> {
  const drivers = await Promise.all(
    (await listNetworkCards(os)).map((name) => os.files.resolve(`/sys/class/net/${name}/device/driver`)),
  );
  if (!drivers.some((driver) => driver?.endsWith('/i40e'))) return;
  const folder = '/sys/kernel/debug/i40e';
  try {
    if (!(await os.files.exists(folder))) await os.run('mount', ['-t', 'debugfs', 'debugfs', '/sys/kernel/debug']);
    for (const card of await os.files.list(folder)) await os.files.write(`${folder}/${card}/command`, 'lldp stop');
  } catch (error) {
    log(`LLDP may stay unheard on cards with driver i40e: ${reasonOf(error)}`);
  }
}

/**
 * Listens on all network cards at once, promiscuously, for one LLDP frame each; cards whose drivers are late are listened on as soon
 * as they are there.
 * @param options.timeoutSeconds ends the wait when for so long neither a frame nor a card has come (IPA counts it so)
 * @throws Failure `NO_LISTENER` where this ramdisk has no program that can listen
 */
export async function captureLldp(options: {
  os: AgentOs;
  timeoutSeconds: number;
  log: (message: string) => void;
  signal: AbortSignal;
}): Promise<LldpData> {
  const { os, timeoutSeconds, log, signal } = options;
  await os.run('socat', ['-V'], { signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw lldpFailure('NO_LISTENER', reasonOf(error));
  });
  await stopFirmwareAgents(os, log);
  const data: LldpData = {};
  const reasons = new Map<string, string>();
  const listening = new Map<string, Promise<void>>();
  const stop = new AbortController();
  const until = AbortSignal.any([signal, stop.signal]);
  let news = os.clock.monotonic();

  const listen = async (name: string): Promise<void> => {
    while (!until.aborted) {
      try {
        const index = Number((await os.files.read(`/sys/class/net/${name}/ifindex`)) ?? Number.NaN);
        if (!Number.isInteger(index)) throw new Error('it is gone');
        const tlvs = parseLldpFrame(await os.runBytes('socat', listenArguments(index), { signal: until }));
        if (tlvs.length > 0) {
          data[name] = tlvs;
          news = os.clock.monotonic();
          return;
        }
      } catch (error) {
        // An interface that is still down cannot be listened on.
        if (!until.aborted) reasons.set(name, reasonOf(error));
      }
      await os.clock.sleep(RETRY_MS, until).catch(() => undefined);
    }
  };

  try {
    for (;;) {
      for (const name of await listNetworkCards(os)) {
        if (listening.has(name)) continue;
        news = os.clock.monotonic();
        listening.set(name, listen(name));
      }
      const left = news + timeoutSeconds * 1000 - os.clock.monotonic();
      const isComplete = [...listening.keys()].every((name) => data[name] !== undefined);
      if (left <= 0 || (isComplete && listening.size > 0)) break;
      await os.clock.sleep(Math.min(left, POLL_MS), signal);
    }
  } finally {
    stop.abort();
    await Promise.all(listening.values());
  }
  const silent = [...listening.keys()].filter((name) => data[name] === undefined);
  for (const name of silent) {
    data[name] = [];
    const reason = reasons.get(name);
    if (reason !== undefined) log(`LLDP was not listened for on ${name}: ${reason}`);
  }
  const heard = [...listening.keys()].filter((name) => !silent.includes(name));
  log(
    `LLDP: heard on ${heard.join(', ') || 'no interface'}${silent.length > 0 ? `, not on ${silent.join(', ')}` : ''}`,
  );
  return data;
}
