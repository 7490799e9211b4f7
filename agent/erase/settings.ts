import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { flagOf } from '../api/flag.ts';

/** What the operator wants, from the node (agent-protocol F.3) and the step's arguments. */
export type EraseSettings = {
  agent_erase_devices_iterations: number;
  agent_erase_devices_zeroize: boolean;
  agent_continue_if_secure_erase_failed: boolean;
  agent_enable_nvme_secure_erase: boolean;
  agent_enable_ata_secure_erase: boolean;
  agent_erase_skip_read_only: boolean;
  disk_erasure_concurrency: number;
  /** Share of the disk that is read back at least, 0 to 1. */
  verify_share: number;
  /** The one method to use, null for the strongest that a disk has. */
  method: string | null;
};

/** What is not evidence, for it must not be in one. */
export type EraseRequest = {
  settings: EraseSettings;
  nonce: string | null;
  /** PSIDs printed on Opal disks, by serial number. */
  psids: Readonly<Record<string, string>>;
  dryRun: boolean;
};

function bad(name: string, value: unknown, wanted: string): AgentError {
  return new AgentError(
    'InvalidCommandParamsError',
    `cannot erase: ${name} is ${JSON.stringify(value)}, not ${wanted}`,
  );
}

function flag(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined || value === null) return otherwise;
  const read = flagOf(value);
  if (read === undefined) throw bad(name, value, 'true or false');
  return read;
}

function number(name: string, value: unknown, otherwise: number, least: number, most: number): number {
  if (value === undefined || value === null) return otherwise;
  // Not what Number would take as well: an empty text is 0 to it.
  const parsed = typeof value === 'string' && /^\s*\d+(?:\.\d+)?\s*$/.test(value) ? Number(value) : value;
  if (typeof parsed === 'number' && parsed >= least && parsed <= most) return parsed;
  throw bad(name, value, `a number from ${least} to ${most}`);
}

function text(name: string, value: unknown): string | null {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'string') return value;
  throw bad(name, value, 'text');
}

/** As they are printed: groups of a PSID may stand apart. What is wrong is never shown, for it may be one all the same. */
function psidsOf(name: string, value: unknown): Record<string, string> {
  if (value === undefined || value === null) return {};
  const wrong = (what: string) => new AgentError('InvalidCommandParamsError', `cannot erase: ${what}`);
  if (typeof value !== 'object' || Array.isArray(value)) throw wrong(`${name} is no object of serial numbers to PSIDs`);
  return Object.fromEntries(
    Object.entries(value).map(([serial, psid]: [string, unknown]) => {
      const plain = typeof psid === 'string' ? psid.replaceAll(/[\s-]/g, '') : '';
      if (!/^[A-Za-z0-9]{32}$/.test(plain)) throw wrong(`${name} has no PSID for ${serial}: 32 letters and digits`);
      return [serial, plain];
    }),
  );
}

/**
 * @param node its driver_internal_info is where Ironic puts its [deploy] options before cleaning
 * @throws AgentError `InvalidCommandParamsError`: an erase by half-understood settings is worse than none
 */
export function readSettings(node: Node, args: Readonly<Record<string, unknown>>): EraseRequest {
  const info = node.driver_internal_info ?? {};
  const yesNo = (name: string, otherwise: boolean) => flag(name, info[name], otherwise);
  const iterations = number('agent_erase_devices_iterations', info['agent_erase_devices_iterations'], 1, 0, 100);
  const concurrency = number('disk_erasure_concurrency', info['disk_erasure_concurrency'], 1, 1, 1024);
  return {
    settings: {
      agent_erase_devices_iterations: Math.floor(iterations),
      agent_erase_devices_zeroize: yesNo('agent_erase_devices_zeroize', true),
      agent_continue_if_secure_erase_failed: flag(
        'agent_continue_if_secure_erase_failed',
        // The name that it had first.
        info['agent_continue_if_secure_erase_failed'] ?? info['agent_continue_if_ata_erase_failed'],
        false,
      ),
      agent_enable_nvme_secure_erase: yesNo('agent_enable_nvme_secure_erase', true),
      agent_enable_ata_secure_erase: yesNo('agent_enable_ata_secure_erase', true),
      agent_erase_skip_read_only: yesNo('agent_erase_skip_read_only', false),
      disk_erasure_concurrency: Math.floor(concurrency),
      verify_share: number('verify_percent', args['verify_percent'], 0, 0, 100) / 100,
      method: text('method', args['method']),
    },
    nonce: text('nonce', args['nonce'] ?? info['ingot_evidence_nonce']),
    psids: {
      ...psidsOf('driver_info.ingot_psids', node.driver_info?.['ingot_psids']),
      ...psidsOf('psids', args['psids']),
    },
    dryRun: flag('dry_run', args['dry_run'], false),
  };
}
