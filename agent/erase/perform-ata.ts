import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { parseHdparmIdentify, parseSanitizeStatus } from './ata-words.ts';
import type { Perform, PerformContext, Performed, SettleContext } from './perform.ts';
import { waitForDevice } from './wait.ts';

/** Not to keep anybody out, but because the command wants one; IPA's, so that each can clear what the other left. */
export const ATA_PASSWORD = 'NULL';
const SURE = '--yes-i-know-what-i-am-doing';
const SANITIZE = {
  block: ['--sanitize-block-erase'],
  crypto: ['--sanitize-crypto-scramble'],
  overwrite: ['--sanitize-overwrite', 'hex:00000000'],
} as const;

async function securityOf({ recorder, disk }: PerformContext) {
  return parseHdparmIdentify((await recorder.run('hdparm', ['-I', disk.disk.name])).stdout);
}

async function untilSanitized(context: SettleContext, wasTold: boolean): Promise<void> {
  const { name } = context.disk.disk;
  await waitForDevice(context, 'sanitize', async () => {
    const { stdout, stderr } = await context.recorder.run('hdparm', ['--sanitize-status', name]);
    const { state, percent } = parseSanitizeStatus(stdout + stderr);
    if (state === 'running') return { state, share: percent === null ? undefined : percent / 100 };
    // The device forgets at a power cycle how an earlier one ended; one that it was told just now it has to know.
    if (state === 'done' || (!wasTold && state === 'idle')) return { state: 'done', share: 1 };
    return { state: 'failed', share: 0, why: `its state is ${state}` };
  });
}

/** As for NVMe: a sanitize goes on after a power cut by itself (ACS-3, 4.17.4). */
export async function settleAta(context: SettleContext): Promise<Performed['gaps']> {
  const { ata } = context.abilities;
  if (ata === undefined || !Object.values(ata.sanitize).includes(true)) return [];
  const { stdout } = await context.recorder.run('hdparm', ['--sanitize-status', context.disk.disk.name]);
  if (parseSanitizeStatus(stdout).state !== 'running') return [];
  const at = new Date(context.os.clock.now()).toISOString();
  context.log(`${context.disk.disk.name} is at a sanitize from before; it is waited for, and done again to be proved`);
  await untilSanitized(context, false);
  return [
    {
      interrupted_after: null,
      resumed_at: at,
      position: null,
      how: 'the device was at a sanitize already, by its status',
    },
  ];
}

function sanitize(kind: keyof typeof SANITIZE): Perform {
  return async (context) => {
    await context.recorder.run('hdparm', [SURE, ...SANITIZE[kind], context.disk.disk.name]);
    await untilSanitized(context, true);
    return { written: null, gaps: [] };
  };
}

/** A disk that keeps the password would be locked at its next start, for whoever has it then. */
async function clearPassword(context: PerformContext): Promise<void> {
  const { recorder, disk } = context;
  const { name } = disk.disk;
  const before = await securityOf(context);
  if (!before.isEnabled) return;
  const word = ['--user-master', 'u'];
  if (before.isLocked)
    await recorder.run('hdparm', [...word, '--security-unlock', ATA_PASSWORD, name]).catch(() => undefined);
  await recorder.run('hdparm', [...word, '--security-disable', ATA_PASSWORD, name]).catch(() => undefined);
  if ((await securityOf(context)).isEnabled)
    throw new AgentError(
      'BlockDeviceEraseError',
      `cannot clear the password of ${name}: it is ${ATA_PASSWORD}; try hdparm --user-master u --security-disable ${ATA_PASSWORD} ${name} after a power cycle`,
    );
}

function securityErase(isEnhanced: boolean): Perform {
  return async (context) => {
    const { recorder, disk, abilities } = context;
    const { name } = disk.disk;
    const word = ['--user-master', 'u'];
    if (abilities.ata?.isEnabled !== true)
      await recorder.run('hdparm', [...word, '--security-set-pass', ATA_PASSWORD, name]);
    let failure: unknown;
    try {
      // Never ended from here: the disk would go on, and the password stay. hdparm waits as long as the disk says it takes.
      await recorder.run('hdparm', [
        ...word,
        isEnhanced ? '--security-erase-enhanced' : '--security-erase',
        ATA_PASSWORD,
        name,
      ]);
      // The disk clears the password when it is done, and only then (ACS-3, 7.38).
      if ((await securityOf(context)).isEnabled)
        failure = new Error('the disk’s security is still enabled: it did not finish');
    } catch (error) {
      failure = error;
    }
    await clearPassword(context);
    if (failure !== undefined)
      throw new AgentError('BlockDeviceEraseError', `cannot erase ${name}: ${reasonOf(failure)}`, { cause: failure });
    return { written: null, gaps: [] };
  };
}

export const ATA_PERFORMERS = {
  'ata-sanitize-block': sanitize('block'),
  'ata-sanitize-crypto': sanitize('crypto'),
  'ata-sanitize-overwrite': sanitize('overwrite'),
  'ata-security-erase-enhanced': securityErase(true),
  'ata-security-erase': securityErase(false),
} satisfies Record<string, Perform>;
