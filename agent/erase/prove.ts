import { reasonOf } from '../../system/failure.ts';
import { claimOf, type MethodName } from '../../evidence/methods.ts';
import type { Verification } from '../../evidence/record.ts';
import { AgentError } from '../api/errors.ts';
import { withDevice } from '../disk/partitions.ts';
import { findInterrupted } from './overwrite.ts';
import type { PerformContext } from './perform.ts';
import { revertOpal } from './perform-scsi.ts';
import { ForgetfulDisk, verifyDisk, verifyEnds, writeCanaries } from './verify.ts';
import { checkWitnesses, NO_WITNESSES, readWitnesses, type Witnesses } from './witnesses.ts';

/** What is known of a disk before it is erased, to be compared with what it holds then. */
export type Prepared = {
  /** They stand at all places that will be read back. */
  canaries: boolean;
  /** Why not. */
  why: string | undefined;
  /** Only of a device's own erase: after ours it is known what the disk holds. */
  witnesses: Witnesses;
};

const NOTHING: Prepared = { canaries: false, why: undefined, witnesses: NO_WITNESSES };

/** Canaries of an overwrite that is continued were written before it was interrupted: its note says so. */
async function write(context: PerformContext, method: MethodName): Promise<Prepared> {
  const { os, disk, seed, settings } = context;
  try {
    return await withDevice(os, disk.disk.name, 'write', async (device) => {
      const isOurs = method.startsWith('overwrite');
      const interrupted = isOurs ? await findInterrupted(context, device) : undefined;
      if (interrupted !== undefined) return { ...NOTHING, canaries: interrupted.canaries };
      const witnesses =
        claimOf(method)?.expects === 'changed'
          ? await readWitnesses(device, seed, settings.verify_share)
          : NO_WITNESSES;
      await writeCanaries(device, seed, settings.verify_share);
      return { canaries: true, why: undefined, witnesses };
    });
  } catch (error) {
    if (error instanceof ForgetfulDisk) throw error;
    // Somebody holds the disk whom nobody saw. The kernel keeps us from it; the device itself would not.
    if (error instanceof AgentError && error.type === 'ProtectedDeviceError') throw error;
    return { ...NOTHING, why: reasonOf(error) };
  }
}

/** A locked disk takes no canaries: it is reverted once to be open, and once more so that it can be proved. */
export async function prepare(context: PerformContext, method: MethodName): Promise<Prepared> {
  if (method === 'metadata') return NOTHING;
  const prepared = await write(context, method);
  if (prepared.canaries || method !== 'opal-psid-revert') return prepared;
  context.log(
    `${context.disk.disk.name} does not take canaries (${prepared.why}); it is reverted, and then once more to be proved`,
  );
  await revertOpal(context);
  return write(context, method);
}

function faultOf(verification: Verification, why: string | undefined): string | null {
  const [first] = verification.wrong_at;
  if (verification.wrong > 0)
    return `the disk says that it is done, but ${verification.wrong} of ${verification.samples} samples are not as they have to be, the first at byte ${first?.position}: ${first?.why}`;
  if (verification.expectation === 'changed' && !verification.canaries)
    return `nothing can be proved: canaries could not be written before (${why ?? 'no reason'})`;
  return null;
}

/**
 * Reads back what must have gone.
 * @returns with it why the disk is not erased, null where nothing speaks against it
 * @throws when the disk is not there any more, or is another one
 */
export async function readBackAll(
  context: PerformContext,
  method: MethodName,
  { canaries, why, witnesses }: Prepared,
): Promise<{ verification: Verification; fault: string | null }> {
  const { os, disk, seed, settings, recorder } = context;
  const expectation = claimOf(method)?.expects ?? 'zeros';
  // What the cache has is not what the disk has; the kernel drops it here even where reads go past it anyway.
  await recorder.run('blockdev', ['--flushbufs', disk.disk.name]).catch(() => undefined);
  return withDevice(os, disk.disk.name, 'read', async (device) => {
    if (device.sizeBytes !== disk.disk.size)
      throw new Error(
        `the disk has ${device.sizeBytes} bytes now, and had ${disk.disk.size} before: it is another one, or hides sectors`,
      );
    if (expectation === 'ends-zero') {
      const ends = await verifyEnds(device, seed);
      return { verification: ends, fault: faultOf(ends, why) };
    }
    const pass = Math.max(0, settings.agent_erase_devices_iterations - 1);
    const verification = await verifyDisk(device, { expectation, seed, pass, share: settings.verify_share, canaries });
    if (expectation !== 'changed') return { verification, fault: faultOf(verification, why) };
    const { found, firstUnchanged } = await checkWitnesses(device, witnesses);
    const fault =
      faultOf(verification, why) ??
      (firstUnchanged === undefined
        ? null
        : `the disk says that it is done, but ${found.unchanged} of ${found.held} blocks have in them what they had before it, the first at byte ${firstUnchanged}`);
    return { verification: { ...verification, witnesses: found }, fault };
  });
}
