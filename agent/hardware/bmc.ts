import { reasonOf } from '../../system/failure.ts';
import type { AgentOs } from '../os/door.ts';
import { parseLan6Addresses, parseLanPrint, speaksIpv6 } from './ipmitool.ts';

/** The BMC's fields of the inventory: null where there is no way to ask, a zero address where it has none. */
export type Bmc = { bmc_address: string | null; bmc_v6address: string | null; bmc_mac?: string };

export const NO_BMC: Bmc = { bmc_address: null, bmc_v6address: null };

/** Of the sixteen channels those that may be a LAN (IPMI 2.0, 6.3). */
const CHANNELS = Array.from({ length: 11 }, (_, at) => at + 1);
/** A BMC that is busy starting may keep its interface waiting. */
const TIMEOUT_MS = 20_000;
const IPMI_MODULES = ['ipmi_msghandler', 'ipmi_devintf', 'ipmi_si', 'ipmi_ssif'];

async function hasIpmiDevice(os: AgentOs): Promise<boolean> {
  const inDev = await os.files.list('/dev');
  if (inDev.some((name) => /^ipmi\d+$/.test(name))) return true;
  const elsewhere = await Promise.all(['/dev/ipmi', '/dev/ipmidev'].map((folder) => os.files.list(folder)));
  return elsewhere.flat().length > 0;
}

/** The interface's drivers are found by what the firmware says, but nothing asks for the one that makes /dev/ipmi0. */
async function loadDrivers(os: AgentOs): Promise<void> {
  for (const name of IPMI_MODULES) await os.run('modprobe', ['-q', name]).catch(() => undefined);
}

/**
 * Asks the BMC for its addresses through the machine's own IPMI interface, channel after channel.
 * @param loadModules whether this machine is the agent's own, which may load drivers
 */
export async function detectBmc(options: {
  os: AgentOs;
  loadModules: boolean;
  log: (message: string) => void;
}): Promise<Bmc> {
  const { os, log } = options;
  // First of all: without it, a machine need not look for its BMC's interface, which can take seconds.
  const problem = await os.run('ipmitool', ['-V'], { timeoutMs: TIMEOUT_MS }).then(() => undefined, reasonOf);
  if (problem !== undefined) {
    if (await hasIpmiDevice(os))
      log(`the BMC is not asked for its address: ${problem} (the element ipmitool brings it)`);
    return NO_BMC;
  }
  if (options.loadModules && !(await hasIpmiDevice(os))) await loadDrivers(os);
  if (!(await hasIpmiDevice(os))) return NO_BMC;

  /** A channel that is no LAN, or that there is not, is an error of ipmitool's and nothing more. */
  const ask = async (...args: string[]): Promise<string> => {
    try {
      return (await os.run('ipmitool', args, { timeoutMs: TIMEOUT_MS })).stdout;
    } catch {
      return '';
    }
  };
  const bmc: Bmc = { bmc_address: '0.0.0.0', bmc_v6address: '::/0' };
  for (const channel of CHANNELS.map(String)) {
    const { address, mac } = parseLanPrint(await ask('lan', 'print', channel));
    if (address === undefined && mac === undefined) continue;
    const six = speaksIpv6(await ask('lan6', 'print', channel, 'enables'))
      ? (parseLan6Addresses(await ask('lan6', 'print', channel, 'dynamic_addr')) ??
        parseLan6Addresses(await ask('lan6', 'print', channel, 'static_addr')))
      : undefined;
    const four = address === '0.0.0.0' ? undefined : address;
    if (bmc.bmc_address === '0.0.0.0' && four !== undefined) bmc.bmc_address = four;
    if (bmc.bmc_v6address === '::/0' && six !== undefined) bmc.bmc_v6address = six;
    const isConfigured = four !== undefined || six !== undefined;
    if (isConfigured && mac !== undefined && mac !== '00:00:00:00:00:00') bmc.bmc_mac ??= mac;
  }
  return bmc;
}
