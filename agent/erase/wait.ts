import { AgentError } from '../api/errors.ts';
import type { Disk } from '../api/inventory.ts';
import type { SettleContext } from './perform.ts';

/** What is waited for: all that has to be known of the disk. */
export type WaitContext = Pick<SettleContext, 'os' | 'signal' | 'progress'> & {
  disk: { disk: Pick<Disk, 'name' | 'size'> };
};

const FIRST_PAUSE_MS = 500;
const MOST_PAUSE_MS = 15_000;
/** Without having come any further: as long as this, or as it would take to write the disk at the pace of the slowest. */
const LEAST_PATIENCE_MS = 6 * 3600_000;
const SLOWEST_BYTES_A_SECOND = 50e6;

/** How far a device is with something that it does by itself. */
export type Look = {
  state: 'running' | 'done' | 'failed';
  /** 0 to 1; undefined where the device does not say. */
  share: number | undefined;
  why?: string;
};

/** A device that comes no further: whatever else it is told, it would not do. */
export class StuckDevice extends AgentError {}

/**
 * Looks at a device until it has finished by itself.
 * @throws AgentError `BlockDeviceEraseError` when it says that it failed, `StuckDevice` when it has come no further for hours
 */
export async function waitForDevice(
  { os, signal, progress, disk }: WaitContext,
  what: string,
  look: () => Promise<Look>,
): Promise<void> {
  const patience = Math.max(LEAST_PATIENCE_MS, (disk.disk.size / SLOWEST_BYTES_A_SECOND) * 1000);
  const failure = (why: string) => `cannot erase ${disk.disk.name}: ${what} failed: ${why}`;
  let furthest = -1;
  let since = os.clock.monotonic();
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, MOST_PAUSE_MS)) {
    await os.clock.sleep(pause, signal);
    const { state, share = 0, why } = await look();
    if (state === 'done') return;
    if (state === 'failed') throw new AgentError('BlockDeviceEraseError', failure(why ?? 'the device says no more'));
    if (share > furthest) {
      furthest = share;
      since = os.clock.monotonic();
    } else if (os.clock.monotonic() - since > patience)
      throw new StuckDevice(
        'BlockDeviceEraseError',
        failure(
          `the device has been at ${Math.floor(furthest * 100)} % for ${Math.round(patience / 3600_000)} hours; it may be at it still, and takes no other command until it has lost its power`,
        ),
      );
    // One that counts backwards, or starts again, is no further than it was.
    progress(Math.min(1, furthest), what);
  }
}
