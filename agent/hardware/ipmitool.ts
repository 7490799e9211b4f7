import { isIP, isIPv6 } from 'node:net';

/** What `ipmitool lan print CHANNEL` says of one channel; undefined where it does not, or where that is no address. */
export type LanChannel = { address: string | undefined; mac: string | undefined };

const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;

/** `Name   : value` lines; a line with an empty name continues the one before and counts for nothing here. */
function fieldOf(text: string, name: string): string | undefined {
  for (const line of text.split('\n')) {
    const at = line.indexOf(':');
    if (at > 0 && line.slice(0, at).trim() === name) return line.slice(at + 1).trim();
  }
  return undefined;
}

/** Reads `ipmitool lan print`; channels that are no LAN print nothing of what counts here. */
export function parseLanPrint(text: string): LanChannel {
  const address = fieldOf(text, 'IP Address');
  const mac = fieldOf(text, 'MAC Address');
  return {
    address: address !== undefined && isIP(address) === 4 ? address : undefined,
    mac: mac !== undefined && MAC.test(mac) ? mac.toLowerCase() : undefined,
  };
}

/** Whether `ipmitool lan6 print CHANNEL enables` says that the channel speaks IPv6. */
export function speaksIpv6(text: string): boolean {
  return ['ipv6', 'both'].includes(fieldOf(text, 'IPv6/IPv4 Addressing Enables') ?? '');
}

/**
 * The first address in use of `ipmitool lan6 print CHANNEL dynamic_addr` or `static_addr`: sections of three indented lines, of which
 * the first says where the address is from, or whether it is enabled.
 * @returns undefined when there is none, or only `::`
 */
export function parseLan6Addresses(text: string): string | undefined {
  for (const section of text.split(/^(?=\S)/m)) {
    const isUsed =
      fieldOf(section, 'Status') === 'active' &&
      (fieldOf(section, 'Enabled') === 'yes' || ['DHCPv6', 'SLAAC'].includes(fieldOf(section, 'Source/Type') ?? ''));
    const address = (fieldOf(section, 'Address') ?? '').replace(/\/\d+$/, '');
    if (isUsed && isIPv6(address) && !/^[0:]+$/.test(address)) return address;
  }
  return undefined;
}
