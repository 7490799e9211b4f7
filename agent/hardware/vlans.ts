import { reasonOf } from '../../system/failure.ts';
import type { NetworkInterface } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';
import { type LldpData, vlansOf } from './lldp.ts';

/** One wish of ipa-enable-vlan-interfaces. */
export type VlanWish =
  /** This VLAN on this interface, which is a name or a MAC. */
  | { kind: 'vlan'; on: string; vlan: number; text: string }
  /** Those that the switch names on this interface, or on all (`on` is undefined). */
  | { kind: 'lldp'; on: string | undefined; text: string };

const LONGEST_NAME = 15;

/**
 * Reads one item of the comma list: `eth0.100`, `aa:bb:cc:dd:ee:ff.100`, `eth0`, `all`.
 * @returns a sentence where it is none of them
 */
export function readVlanWish(text: string): VlanWish | string {
  if (text === 'all') return { kind: 'lldp', on: undefined, text };
  const [on = '', number, ...rest] = text.split('.');
  if (number === undefined) return { kind: 'lldp', on, text };
  const vlan = Number(number);
  if (on === '' || rest.length > 0 || !/^\d{1,4}$/.test(number) || vlan < 1 || vlan > 4094)
    return `cannot bring up VLAN ${text}: an interface, a dot and a number from 1 to 4094 are needed`;
  return { kind: 'vlan', on, vlan, text };
}

const isMeant = (nic: NetworkInterface, on: string | undefined): boolean =>
  on === undefined || nic.name === on || nic.mac_address === on.toLowerCase();

/** `eth0.100`; a name that would be too long for the kernel loses letters before the dot. */
export function vlanInterfaceName(nic: string, vlan: number): string {
  return `${nic.slice(0, LONGEST_NAME - 1 - String(vlan).length)}.${vlan}`;
}

/**
 * Which VLANs a wish asks for, by the interfaces that there are.
 * @param nics without VLANs
 * @returns nothing where no interface is meant
 */
export function wishedVlans(
  wish: VlanWish,
  nics: readonly NetworkInterface[],
  lldp: LldpData,
): { nic: string; vlan: number }[] {
  const meant = nics.filter((nic) => isMeant(nic, wish.on));
  // A card with the bond's address is a member of it; the bond itself is what VLANs are on.
  if (wish.kind === 'vlan') return meant.slice(0, 1).map((nic) => ({ nic: nic.name, vlan: wish.vlan }));
  return meant.flatMap((nic) => vlansOf(lldp[nic.name] ?? []).map((vlan) => ({ nic: nic.name, vlan })));
}

/**
 * Makes a VLAN's interface and brings it up; udev then starts its DHCP client as it does for every interface. One that is there
 * already is only brought up.
 * @returns its name
 * @throws Failure that names the VLAN and what `ip` said
 */
export async function addVlan(os: AgentOs, nic: string, vlan: number): Promise<string> {
  const name = vlanInterfaceName(nic, vlan);
  if (!(await os.files.exists(`/sys/class/net/${name}`)))
    await os.run('ip', ['link', 'add', 'link', nic, 'name', name, 'type', 'vlan', 'id', String(vlan)]);
  await os.run('ip', ['link', 'set', 'dev', name, 'up']);
  return name;
}

/**
 * Brings up what is asked for as far as it is possible now.
 * @returns the wishes for which no interface was there
 */
export async function bringUpVlans(options: {
  os: AgentOs;
  wishes: readonly VlanWish[];
  nics: readonly NetworkInterface[];
  lldp: LldpData;
  log: (message: string) => void;
}): Promise<VlanWish[]> {
  const { os, wishes, lldp, log } = options;
  const nics = options.nics.filter(({ name }) => !name.includes('.'));
  for (const wish of wishes) {
    for (const { nic, vlan } of wishedVlans(wish, nics, lldp)) {
      try {
        log(`VLAN ${vlan} is up on ${nic} as ${await addVlan(os, nic, vlan)}`);
      } catch (error) {
        log(`cannot bring up VLAN ${vlan} on ${nic}: ${reasonOf(error)}`);
      }
    }
  }
  return wishes.filter((wish) => !nics.some((nic) => isMeant(nic, wish.on)));
}
