import { withDevice } from '../disk/partitions.ts';
import type { AgentOs } from '../os/door.ts';

const END_BYTES = 1024 ** 2;

/** Whether nothing is left where partition tables are, as the device itself says. What cannot be read is not known to be. */
export async function isCleared(os: AgentOs, path: string | undefined): Promise<boolean> {
  if (path === undefined) return false;
  try {
    return await withDevice(os, path, 'read', async (device) => {
      const bytes = Buffer.alloc(Math.min(END_BYTES, device.sizeBytes));
      for (const position of [0, device.sizeBytes - bytes.length]) {
        await device.read(bytes, position);
        if (bytes.some((byte) => byte !== 0)) return false;
      }
      return true;
    });
  } catch {
    return false;
  }
}
