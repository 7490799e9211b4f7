import type { Node } from '../api/command.ts';
import type { GuardSettings } from '../disk/guard.ts';
import { type EvidenceChain, openChain } from '../erase/chain.ts';
import { eraseDevices } from '../erase/erase-devices.ts';
import { eraseDevicesMetadata } from '../erase/erase-metadata.ts';
import type { EraseStep } from '../erase/plan.ts';
import type { CommandContext, StepRequest, StepSpec } from '../engine/command-table.ts';
import type { AgentOs } from '../os/door.ts';
import type { AgentDeps } from './deps.ts';

/** One chain of evidence an agent, whatever the number of steps. */
const chains = new WeakMap<AgentOs, Promise<EvidenceChain>>();

function chainOf(os: AgentOs): Promise<EvidenceChain> {
  const chain = chains.get(os) ?? openChain(os.files);
  chains.set(os, chain);
  return chain;
}

/** The docs of the field say "true wipes special file systems"; IPA's code has it the other way round. */
function guardFor({ config }: AgentDeps, node: Node): GuardSettings {
  const isForced = node.driver_internal_info?.['wipe_special_filesystems'] === true;
  return { ...config, guardSpecialFilesystems: config.guardSpecialFilesystems && !isForced };
}

/** Whose machine it is, as its firmware says; evidence names disks with or without that. */
async function machineOf(deps: AgentDeps) {
  try {
    const { system_vendor: vendor } = await deps.inventory();
    const known = (value: string) => value.trim() || null;
    return {
      serial: known(vendor.serial_number),
      vendor: known(vendor.manufacturer),
      product: known(vendor.product_name),
    };
  } catch {
    return { serial: null, vendor: null, product: null };
  }
}

async function runErase(step: EraseStep, deps: AgentDeps, { node, args }: StepRequest, context: CommandContext) {
  return eraseDevices(deps.os, node, {
    step,
    args,
    guard: guardFor(deps, node),
    chain: () => chainOf(deps.os),
    machine: await machineOf(deps),
    signal: context.signal,
    progress: (share, message) =>
      context.progress({ phase: 'erase', done: Math.floor(share * 1000) / 10, total: 100, unit: '%', message }),
    log: context.log,
  });
}

async function runEraseMetadata(deps: AgentDeps, { node, args }: StepRequest, context: CommandContext) {
  return eraseDevicesMetadata(deps.os, node, {
    args,
    guard: guardFor(deps, node),
    chain: () => chainOf(deps.os),
    machine: await machineOf(deps),
    signal: context.signal,
    progress: (done, total, device) =>
      context.progress({ phase: 'erase metadata', done, total, unit: 'devices', message: device }),
    log: context.log,
  });
}

const NONCE = {
  description: 'Text that has to stand in the evidence; the conductor of Ingot chooses one itself.',
  required: false,
};
const ARGS: StepSpec<AgentDeps>['argsinfo'] = {
  dry_run: {
    description: 'True: say what would be done to each disk and how long it would take, and do nothing.',
    required: false,
  },
  nonce: NONCE,
  method: {
    description: 'The one method to use on all disks, instead of the strongest that each has.',
    required: false,
  },
  verify_percent: {
    description: 'How much of each disk is read back at least; 1024 samples unless said.',
    required: false,
  },
  psids: { description: 'PSIDs printed on Opal disks, by serial number: such a disk is reverted.', required: false },
};

export const ERASE_STEPS: readonly StepSpec<AgentDeps>[] = [
  {
    step: 'erase_devices_metadata',
    interface: 'deploy',
    priorities: { clean: 99, deploy: 0 },
    abortable: true,
    argsinfo: { nonce: NONCE },
    run: runEraseMetadata,
  },
  {
    step: 'erase_devices',
    interface: 'deploy',
    priorities: { clean: 10 },
    abortable: true,
    argsinfo: ARGS,
    run: (deps, request, context) => runErase('erase_devices', deps, request, context),
  },
  {
    step: 'erase_devices_express',
    interface: 'deploy',
    priorities: { clean: 0 },
    abortable: true,
    argsinfo: ARGS,
    run: (deps, request, context) => runErase('erase_devices_express', deps, request, context),
  },
];
