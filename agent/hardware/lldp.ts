/** One statement of an LLDP frame: its type, and its value as hexadecimal digits (what Ironic calls `lldp_raw`). */
export type Tlv = [type: number, value: string];
/** By name of the interface; an empty list where nothing was heard. */
export type LldpData = Record<string, Tlv[]>;

const ETHERTYPE_LLDP = 0x88_cc;
const ETHERNET_HEADER_BYTES = 14;
const END_OF_LLDPDU = 0;
const ORGANISATION_SPECIFIC = 127;
/** IEEE 802.1Q, annex D: organisation 00-80-c2, subtype 3, VLAN name: its first two bytes are the VLAN's number. */
const VLAN_NAME = '0080c203';

/**
 * Takes an Ethernet frame apart (IEEE 802.1AB, 8.4): a type of 7 bits and a length of 9, then as many bytes.
 * What follows the end mark only fills the frame up; a statement that is cut off is left out with all that would follow it.
 * @returns nothing where the frame is none of LLDP
 */
export function parseLldpFrame(frame: Uint8Array): Tlv[] {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  if (bytes.length < ETHERNET_HEADER_BYTES || bytes.readUInt16BE(12) !== ETHERTYPE_LLDP) return [];
  const tlvs: Tlv[] = [];
  for (let at = ETHERNET_HEADER_BYTES; at + 2 <= bytes.length;) {
    const header = bytes.readUInt16BE(at);
    const type = header >>> 9;
    const end = at + 2 + (header & 0x1_ff);
    if (end > bytes.length) break;
    tlvs.push([type, bytes.toString('hex', at + 2, end)]);
    if (type === END_OF_LLDPDU) break;
    at = end;
  }
  return tlvs;
}

/** Numbers of the VLANs that a switch names for a port. */
export function vlansOf(tlvs: readonly Tlv[]): number[] {
  const numbers = tlvs
    .filter(([type, value]) => type === ORGANISATION_SPECIFIC && value.startsWith(VLAN_NAME))
    .map(([, value]) => Number.parseInt(value.slice(VLAN_NAME.length, VLAN_NAME.length + 4), 16));
  return [...new Set(numbers)].filter((number) => number >= 1 && number <= 4094);
}
