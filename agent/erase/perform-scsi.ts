import { AgentError } from '../api/errors.ts';
import type { Perform, Performed, SettleContext } from './perform.ts';
import { readSense } from './read-scsi.ts';
import { isSanitizing } from './scsi-words.ts';
import { type WaitContext, waitForDevice } from './wait.ts';

const KINDS = {
  block: ['--block'],
  crypto: ['--crypto'],
  overwrite: ['--overwrite', '--zero'],
} as const;

/** Of unit attentions a device has a few, each told once; one that has them for ever tells nothing else. */
const MOST_ATTENTIONS = 32;

/** Until REQUEST SENSE has nothing more to say (SBC-4, 4.11.4). */
export async function untilScsiSanitized(context: WaitContext): Promise<void> {
  let attentions = 0;
  await waitForDevice(context, 'sanitize', async () => {
    const { state, share, text } = await readSense(context.os, context.disk.disk.name);
    if (state === 'none') return { state: 'done', share: 1 };
    if (state === 'running') return { state, share };
    if (state === 'again' && attentions++ < MOST_ATTENTIONS) return { state: 'running', share: undefined };
    return { state: 'failed', share, why: `it says ${text}` };
  });
}

/** As for NVMe: it goes on after a power cut by itself, and nothing else can be done until it ends. */
export async function settleScsi(context: SettleContext): Promise<Performed['gaps']> {
  const { os, abilities, disk, log, recorder } = context;
  if (abilities.scsi === undefined) return [];
  const sense = await readSense(os, disk.disk.name);
  if (sense.text.includes('31h/03h'))
    // Possible where the one that failed allowed it (AUSE); else only another sanitize, which follows, gets it out of this.
    await recorder.run('sg_sanitize', ['--fail', '--quick', disk.disk.name]).catch(() => undefined);
  if (!isSanitizing(sense)) return [];
  const at = new Date(os.clock.now()).toISOString();
  log(`${disk.disk.name} is at a sanitize from before; it is waited for, and done again to be proved`);
  await untilScsiSanitized(context);
  return [
    {
      interrupted_after: null,
      resumed_at: at,
      position: null,
      how: `the device was at a sanitize already: ${sense.text}`,
    },
  ];
}

/**
 * `--quick`: without the fifteen seconds in which a person could change their mind. `--early`: the device answers at once, and is
 * asked how far it is. `--ause`: after a failure it may be left for a weaker method, which is the operator's to allow; else it
 * keeps its data to itself.
 */
function sanitize(kind: keyof typeof KINDS): Perform {
  return async (context) => {
    const { recorder, disk, settings } = context;
    const isFreeToFall = settings.agent_continue_if_secure_erase_failed;
    await recorder.run('sg_sanitize', [
      ...KINDS[kind],
      '--quick',
      '--early',
      ...(isFreeToFall ? ['--ause'] : []),
      disk.disk.name,
    ]);
    await untilScsiSanitized(context);
    return { written: null, gaps: [] };
  };
}

/**
 * The PSID is printed on the disk, and gives nobody who has not the disk anything; it is in no log and no evidence all the same.
 * sedutil-cli takes it nowhere but in its arguments, which only root of this ramdisk can see.
 */
export const revertOpal: Perform = async ({ recorder, disk, psid }) => {
  if (psid === undefined)
    throw new AgentError('BlockDeviceEraseError', `cannot revert ${disk.disk.name}: there is no PSID for it`);
  await recorder.run('sedutil-cli', ['--PSIDrevert', psid, disk.disk.name]);
  return { written: null, gaps: [] };
};

export const SCSI_PERFORMERS = {
  'scsi-sanitize-block': sanitize('block'),
  'scsi-sanitize-crypto': sanitize('crypto'),
  'scsi-sanitize-overwrite': sanitize('overwrite'),
  'opal-psid-revert': revertOpal,
} satisfies Record<string, Perform>;
