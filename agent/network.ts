import type { NetworkInterface } from './api/inventory.ts';
import type { AgentConfig } from './config/config.ts';
import { type Bmc, detectBmc, NO_BMC } from './hardware/bmc.ts';
import { describeInterfaces, interfaceMacs } from './hardware/interfaces.ts';
import { captureLldp } from './hardware/lldp-capture.ts';
import type { LldpData } from './hardware/lldp.ts';
import { bringUpVlans, readVlanWish, type VlanWish } from './hardware/vlans.ts';
import type { AgentOs } from './os/door.ts';
import { reasonOf } from '../system/failure.ts';

const POLL_MS = 1000;
/** An interface that a VLAN is to be on may have a slow driver. */
const VLAN_INTERFACE_WAIT_MS = 10_000;

export type NetworkConfig = Pick<
  AgentConfig,
  | 'collectLldp'
  | 'inspectionCollectors'
  | 'lldpTimeoutSeconds'
  | 'enableVlanInterfaces'
  | 'ignoredMacs'
  | 'skipBmcDetect'
>;

export type Network = {
  /** The interfaces as they are; waits for nothing. */
  interfaces: () => Promise<NetworkInterface[]>;
  /** Their MACs alone, each once: what the lookup asks with. */
  macs: () => Promise<string[]>;
  /** The interfaces when all VLANs are up, and with what was heard of LLDP where ipa-collect-lldp asks for it. */
  settledInterfaces: () => Promise<NetworkInterface[]>;
  /** Listens once in the life of this process; everybody who asks later has the same answer. */
  lldp: () => Promise<LldpData>;
  /** The same for the BMC's addresses, which cost seconds; not asked where Ironic says that it knows them. */
  bmc: () => Promise<Bmc>;
  /** Begins what takes its time, in the background: VLANs, and listening for LLDP. Called when there is an interface. */
  start: () => void;
};

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let pending: Promise<T> | undefined;
  return () => (pending ??= work());
}

/**
 * The machine's network as the agent deals with it: what IPA does at every listing (LLDP, VLANs) is done once.
 * @param options.config is read at each call, because Ironic's lookup may change it
 */
export function createNetwork(options: {
  os: AgentOs;
  config: NetworkConfig;
  /** Whether this machine is the agent's own: only there are drivers loaded. */
  inRamdisk: boolean;
  log: (message: string) => void;
  signal: AbortSignal;
}): Network {
  const { os, config, log, signal } = options;
  const lldp = once(() => captureLldp({ os, timeoutSeconds: config.lldpTimeoutSeconds, log, signal }));
  const heard = (): Promise<LldpData> =>
    lldp().catch((error: unknown) => {
      signal.throwIfAborted();
      log(reasonOf(error));
      return {};
    });
  const interfaces = (data?: LldpData) =>
    describeInterfaces(os, { ignoredMacs: config.ignoredMacs, ...(data && { lldp: data }) });

  const bringUp = async (wishes: readonly VlanWish[], data: LldpData): Promise<void> => {
    const start = os.clock.monotonic();
    let left = wishes;
    for (;;) {
      left = await bringUpVlans({ os, wishes: left, nics: await interfaces(), lldp: data, log });
      if (left.length === 0) return;
      if (os.clock.monotonic() - start >= VLAN_INTERFACE_WAIT_MS) break;
      await os.clock.sleep(POLL_MS, signal);
    }
    for (const wish of left) log(`cannot bring up VLAN ${wish.text}: no interface has this name or MAC`);
  };
  const vlans = once(async () => {
    const wishes = config.enableVlanInterfaces.map(readVlanWish);
    for (const wish of wishes) if (typeof wish === 'string') log(wish);
    const good = wishes.filter((wish) => typeof wish !== 'string');
    await bringUp(
      good.filter(({ kind }) => kind === 'vlan'),
      {},
    );
    const named = good.filter(({ kind }) => kind === 'lldp');
    if (named.length > 0) await bringUp(named, await heard());
  });
  const detect = once(() => detectBmc({ os, loadModules: options.inRamdisk, log }));
  return {
    interfaces: () => interfaces(),
    macs: () => interfaceMacs(os, config.ignoredMacs),
    settledInterfaces: async () => {
      const data = config.collectLldp ? await heard() : undefined;
      await vlans();
      return interfaces(data);
    },
    lldp,
    bmc: async () => (config.skipBmcDetect ? NO_BMC : detect()),
    start: () => {
      if (config.collectLldp || config.inspectionCollectors.includes('lldp')) void heard().catch(() => undefined); // only an abort is left, and whoever waits hears of it
      void vlans().catch(() => undefined);
    },
  };
}
