import { AgentError } from '../api/errors.ts';
import type { PerformContext } from './perform.ts';

const FIRST_PAUSE_MS = 500;
const MOST_PAUSE_MS = 15_000;

/** How far a device is with something that it does by itself. */
export type Look = { state: 'running' | 'done' | 'failed'; share: number; why?: string };

/**
 * Looks at a device until it has finished by itself.
 * @throws AgentError `BlockDeviceEraseError` when it says that it failed
 */
export async function waitForDevice(
  { os, signal, progress, disk }: PerformContext,
  what: string,
  look: () => Promise<Look>,
): Promise<void> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, MOST_PAUSE_MS)) {
    await os.clock.sleep(pause, signal);
    const { state, share, why } = await look();
    if (state === 'done') return;
    if (state === 'failed')
      throw new AgentError(
        'BlockDeviceEraseError',
        `cannot erase ${disk.disk.name}: ${what} failed: ${why ?? 'the device says no more'}`,
      );
    progress(share, what);
  }
}
