import { AgentError } from '../api/errors.ts';
import type { Perform, PerformContext, Performed, SettleContext } from './perform.ts';
import { readSanitizeLog } from './read-abilities.ts';
import { waitForDevice } from './wait.ts';

/** Values of SANACT (NVMe Base Specification 2.0, 5.24) and of SES (5.14). */
const EXIT_FAILURE_MODE = 1;
const SANITIZE_ACTIONS = { block: 2, overwrite: 3, crypto: 4 } as const;
const SECURE_ERASES = { userData: 1, crypto: 2 } as const;
/** A format may take longer than the kernel's minute for administrative commands. */
const FORMAT_TIMEOUT_MS = 6 * 3600_000;

function controllerOf({ abilities, disk }: PerformContext): string {
  const controller = abilities.nvme?.controller;
  if (controller === undefined)
    throw new AgentError('BlockDeviceEraseError', `cannot erase ${disk.disk.name}: it has no controller`);
  return controller;
}

async function untilSanitized(context: SettleContext, controller: string): Promise<void> {
  await waitForDevice(context, 'sanitize', async () => {
    const { state, share } = await readSanitizeLog(context.os, controller);
    // "Idle" would be a device that has forgotten that it was told to.
    if (state === 'done' || state === 'running') return { state, share };
    return { state: 'failed', share, why: state === 'idle' ? 'its log knows of no sanitize' : 'its log says so' };
  });
}

/** A sanitize that a power cut or a restart left running cannot be stopped, and nothing else can be done until it ends. */
async function pickUp(context: SettleContext, controller: string): Promise<Performed['gaps']> {
  const { state } = await readSanitizeLog(context.os, controller);
  const at = new Date(context.os.clock.now()).toISOString();
  if (state === 'running') {
    context.log(
      `${context.disk.disk.name} is at a sanitize from before; it is waited for, and done again to be proved`,
    );
    await untilSanitized(context, controller);
    return [
      {
        interrupted_after: null,
        resumed_at: at,
        position: null,
        how: 'the device was at a sanitize already, by its log',
      },
    ];
  }
  if (state === 'failed')
    await context.recorder
      .run('nvme', ['sanitize', controller, `--sanact=${EXIT_FAILURE_MODE}`])
      .catch(() => undefined);
  return [];
}

function sanitize(kind: keyof typeof SANITIZE_ACTIONS): Perform {
  return async (context) => {
    const controller = controllerOf(context);
    // Without --ause (Allow Unrestricted Sanitize Exit) a disk whose sanitize failed keeps its data to itself until one has succeeded.
    const ause = context.settings.agent_continue_if_secure_erase_failed ? ['--ause'] : [];
    await context.recorder.run('nvme', ['sanitize', controller, `--sanact=${SANITIZE_ACTIONS[kind]}`, ...ause]);
    await untilSanitized(context, controller);
    return { written: null, gaps: [] };
  };
}

function format(kind: keyof typeof SECURE_ERASES): Perform {
  return async ({ recorder, disk, signal }) => {
    const ses = `--ses=${SECURE_ERASES[kind]}`;
    await recorder.run('nvme', ['format', disk.disk.name, ses, '--force', `--timeout=${FORMAT_TIMEOUT_MS}`], {
      signal,
    });
    return { written: null, gaps: [] };
  };
}

/** Before canaries can be written: what the device is at must have ended. */
export async function settleNvme(context: SettleContext): Promise<Performed['gaps']> {
  const { nvme } = context.abilities;
  const knowsSanitize = nvme !== undefined && Object.values(nvme.sanitize).includes(true);
  return knowsSanitize ? pickUp(context, nvme.controller) : [];
}

export const NVME_PERFORMERS = {
  'nvme-sanitize-block': sanitize('block'),
  'nvme-sanitize-crypto': sanitize('crypto'),
  'nvme-sanitize-overwrite': sanitize('overwrite'),
  'nvme-format-crypto': format('crypto'),
  'nvme-format-user-data': format('userData'),
} satisfies Record<string, Perform>;
