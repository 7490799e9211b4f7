import type { BlockDevice, ZeroAbility, ZeroMethod } from '../os/door.ts';
import type { Medium } from './medium.ts';

const MIB = 1024 ** 2;
/** Images shorter than this have no trial: what it costs is more than it saves. */
const LEAST_IMAGE_BYTES = 64 * MIB;
/** First window: trial and measurement. It begins behind the part that is withheld. */
const FIRST_BYTES = 256 * MIB;
const MOST_WINDOW_BYTES = 1024 ** 4;
const MOST_WINDOW_MS = 1000;
/** Zeroing all of an image may take so long, or must be so quick, to be better than zeroing its gaps one by one. */
const MOST_WHOLE_MS = 5000;
const QUICK_BYTES_PER_SECOND = 4 * 1024 * MIB;

/** A device that knows where it is zero already. */
export type ZeroedMedium = Medium & {
  method: ZeroMethod | undefined;
  /** Zeros are made ahead of the data, and nothing has to be done for gaps. */
  isZeroedAhead: boolean;
};

function isQuick({ isOffloaded, bytesPerSecond }: ZeroAbility, imageBytes: number): boolean {
  if (!isOffloaded) return false;
  return bytesPerSecond >= QUICK_BYTES_PER_SECOND || (imageBytes / bytesPerSecond) * 1000 <= MOST_WHOLE_MS;
}

/**
 * Zeroes the disk, from the end of the part that is withheld on, in a few large windows ahead of the data, so that gaps of an image, be they thousands, need neither writes nor
 * programs. Windows become longer while they take little time, and end with the image.
 */
function zeroAhead(device: BlockDevice, endBytes: number, ability: ZeroAbility, signal: AbortSignal): ZeroedMedium {
  let zeroedTo = MIB + ability.zeroedBytes;
  let windowBytes = FIRST_BYTES;
  let work: Promise<void> = Promise.resolve();
  const extend = async (to: number) => {
    while (zeroedTo < Math.min(to, endBytes)) {
      signal.throwIfAborted();
      const length = Math.min(endBytes - zeroedTo, Math.max(windowBytes, MIB));
      const begin = performance.now();
      await device.zero(zeroedTo, length);
      zeroedTo += length;
      if (performance.now() - begin < MOST_WINDOW_MS) windowBytes = Math.min(MOST_WINDOW_BYTES, windowBytes * 4);
    }
  };
  const ensure = async (to: number) => {
    if (to <= zeroedTo) return;
    work = work.then(() => extend(to));
    await work;
  };
  return {
    method: ability.method,
    isZeroedAhead: true,
    write: async (buffer, position) => {
      await ensure(position + buffer.length);
      await device.write(buffer, position);
    },
    zero: (position, lengthBytes) => ensure(position + lengthBytes),
    flush: () => device.flush(),
    readBack: (buffer, position) => device.readBack(buffer, position),
  };
}

/**
 * Chooses how the zeros of an image get onto a device. Call it when what was on the device is no longer wanted.
 * @param imageBytes undefined when only the end of the file will tell
 * @param hasGaps false when the image is known to have none: then nothing is tried
 * @throws AgentError of the device
 */
export async function createZeroedMedium(
  device: BlockDevice,
  imageBytes: number | undefined,
  hasGaps: boolean,
  signal: AbortSignal,
): Promise<ZeroedMedium> {
  const { write, zero, flush, readBack, sectorBytes } = device;
  const plain = { write, zero, flush, readBack, isZeroedAhead: false, method: undefined };
  // Whole sectors only; the rest of the image's last one is written.
  const end = Math.min(imageBytes ?? device.sizeBytes, device.sizeBytes);
  const endBytes = end - (end % sectorBytes);
  if (!hasGaps || endBytes < LEAST_IMAGE_BYTES) return plain;
  const ability = await device.tryZeroing(MIB, Math.min(FIRST_BYTES, endBytes - 2 * MIB));
  return isQuick(ability, endBytes)
    ? zeroAhead(device, endBytes, ability, signal)
    : { ...plain, method: ability.method };
}
