import { isIPv4 } from 'node:net';

import { reasonOf } from '../system/failure.ts';
import type { Node } from './api/command.ts';
import { AllDisksSkipped } from './hardware/root-disk.ts';
import { isLinkLocal } from './ironic/address.ts';
import type { AgentParts } from './parts.ts';

const NETWORK_WAIT_SECONDS = 60;
const POLL_MS = 250;
/** Is there while the ramdisk's init waits for the address that counts, that of the interface which the firmware booted from. */
const INIT_WAITS = '/run/ingot/network-wait';
/** An init that died in its wait must not hold up the agent for ever. */
const INIT_WAIT_SECONDS = 600;

/** Families of addresses that a machine needs to talk to one of these URLs; a name may be either. */
function usefulFamilies(urls: readonly string[]): Set<4 | 6> {
  const hosts = urls.flatMap((url) => (URL.canParse(url) ? [new URL(url).hostname] : []));
  const families = hosts.flatMap((host): (4 | 6)[] => (host.startsWith('[') ? [6] : isIPv4(host) ? [4] : [4, 6]));
  return new Set(families.length > 0 ? families : [4, 6]);
}

/** What is missing of the network; undefined when there is an interface and a machine elsewhere could be talked to. */
async function missingNetwork({ os, hardware, config }: AgentParts): Promise<string | undefined> {
  const macs = await hardware.macs();
  if (macs.length === 0) return 'a network interface (is its driver in this ramdisk?)';
  hardware.network.start();
  const families = usefulFamilies([...config.apiUrls, ...config.inspectionCallbackUrls]);
  const isUsable = os
    .addresses()
    .some(({ address, family, internal }) => !internal && !isLinkLocal(address) && families.has(family));
  const kind = families.size === 2 ? 'address' : families.has(6) ? 'IPv6 address' : 'IPv4 address';
  return isUsable ? undefined : `an ${kind} from DHCP (is the cable in, and is this the right VLAN?)`;
}

/** Waits for a network interface and its address; without them the agent goes on after a minute and says what is missing. */
export async function waitForNetwork(parts: AgentParts): Promise<void> {
  const { os, hardware, console, signal } = parts;
  for (let waited = 0; waited < INIT_WAIT_SECONDS * 1000 && (await os.files.exists(INIT_WAITS)); waited += POLL_MS) {
    console.status({ state: 'waiting for the network' });
    // Perhaps there is an address only on a VLAN that is to be made.
    if ((await hardware.macs()).length > 0) hardware.network.start();
    await os.clock.sleep(POLL_MS, signal);
  }
  const start = os.clock.monotonic();
  for (;;) {
    const missing = await missingNetwork(parts);
    if (missing === undefined) return;
    if (os.clock.monotonic() - start > NETWORK_WAIT_SECONDS * 1000) {
      console.status({ error: `after ${NETWORK_WAIT_SECONDS} s there is still not ${missing}` });
      return;
    }
    console.status({ state: `waiting for ${missing}` });
    await os.clock.sleep(POLL_MS, signal);
  }
}

/**
 * Waits until there is a disk that an image could go to (ipa-disk-wait-*); a diskless machine is only told of.
 * @param node whose hints count; undefined before it is known
 */
export async function waitForDisks(parts: AgentParts, node: Node | undefined): Promise<void> {
  const { os, hardware, config, console, signal } = parts;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const disk = await hardware.rootDisk(node);
      return console.log(
        `disk for an image: ${disk.name}, ${(disk.size / 2 ** 30).toFixed(1)} GiB, ${disk.model ?? 'no model'}`,
      );
    } catch (error) {
      signal.throwIfAborted();
      const isHopeless = error instanceof AllDisksSkipped;
      if (isHopeless || attempt >= config.diskWaitAttempts)
        return console.log(`no disk to write to: ${reasonOf(error)}`);
      console.debug(`waiting for disks: ${reasonOf(error)}`);
      await os.clock.sleep(config.diskWaitDelaySeconds * 1000, signal);
    }
  }
}

/** Nothing is left to do but to say why, until the machine is switched off or the agent stopped. */
export async function waitForever({ os, console, signal }: AgentParts): Promise<never> {
  for (;;) {
    await os.clock.sleep(60_000, signal);
    console.repeat();
  }
}
