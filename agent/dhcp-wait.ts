import type { NetworkInterface } from './api/inventory.ts';
import { macOfBootInterface } from './hardware/interfaces.ts';
import { isLinkLocal } from './ironic/address.ts';
import type { AgentParts } from './parts.ts';

const POLL_MS = 500;
/** Router advertisements are faster than DHCP: an interface with an IPv6 address may still get an IPv4 one for so long. */
const IPV4_GRACE_MS = 5000;
/** Links that come up later than this have no cable, or a switch that blocks them for half a minute, which nobody wants to wait for. */
const CARRIER_WAIT_MS = 10_000;

type Waiting = { nics: readonly NetworkInterface[]; elapsedMs: number; ipv6ForMs: (name: string) => number };

/** Names of those that have no address yet, and may get one. */
function missing({ nics, elapsedMs, ipv6ForMs }: Waiting): string[] {
  return nics
    .filter((nic) => {
      if (nic.ipv4_address !== null) return false;
      if (nic.has_carrier !== true && elapsedMs >= CARRIER_WAIT_MS) return false;
      return ipv6ForMs(nic.name) < IPV4_GRACE_MS;
    })
    .map(({ name }) => name);
}

/**
 * Before inspection: waits until the interface of BOOTIF has an address, or all have with ipa-inspection-dhcp-all-interfaces, so that
 * the inventory has them. Unlike IPA's, an IPv6 address that is not link-local is one, and a card without a cable is not waited for.
 * Members of bonds get none. Without BOOTIF and without the parameter nothing is waited for, as in IPA.
 */
export async function waitForDhcp(parts: AgentParts): Promise<void> {
  const { config, os, hardware, console, signal } = parts;
  const boot = macOfBootInterface(config.bootInterface);
  const all = config.inspectionDhcpAllInterfaces;
  if (config.inspectionDhcpWaitTimeoutSeconds === 0 || (boot === null && !all)) return;
  // VLANs are interfaces, too; those that a switch has to name come late.
  if (all) await hardware.network.settledInterfaces();
  const start = os.clock.monotonic();
  const ipv6Since = new Map<string, number>();
  for (;;) {
    const now = os.clock.monotonic();
    const nics: NetworkInterface[] = [];
    for (const nic of await hardware.network.interfaces()) {
      if (!all && nic.mac_address !== boot) continue;
      if (!(await os.files.exists(`/sys/class/net/${nic.name}/master`))) nics.push(nic);
      if (nic.ipv6_address === null || isLinkLocal(nic.ipv6_address)) ipv6Since.delete(nic.name);
      else if (!ipv6Since.has(nic.name)) ipv6Since.set(nic.name, now);
    }
    const left = missing({
      nics,
      elapsedMs: now - start,
      ipv6ForMs: (name) => (ipv6Since.has(name) ? now - (ipv6Since.get(name) ?? now) : -1),
    });
    // An interface that is not there at all yet has no address either.
    const waitsFor = nics.length === 0 ? (boot ?? 'an interface') : left.join(', ');
    if (waitsFor === '') return;
    if (now - start >= config.inspectionDhcpWaitTimeoutSeconds * 1000) {
      console.log(`inspection goes on without an address of ${waitsFor}`);
      return;
    }
    console.status({ state: `waiting for an address of ${waitsFor}` });
    await os.clock.sleep(POLL_MS, signal);
  }
}
