import type { BlockDevice } from '../os/door.ts';

/**
 * A range of an open device, as a device of its own: what a partition will be before there is a table that says so. Closing it does
 * nothing; whoever opened the device closes that.
 * @param position where it begins, bytes, on a sector
 */
export function partOfDevice(device: BlockDevice, name: string, position: number, sizeBytes: number): BlockDevice {
  const check = (from: number, length: number) => {
    if (from < 0 || length < 0 || from + length > sizeBytes)
      throw new RangeError(`${name} ends at byte ${sizeBytes}, before ${from + length}`);
  };
  return {
    path: name,
    sizeBytes,
    sectorBytes: device.sectorBytes,
    read: async (buffer, from) => {
      check(from, buffer.length);
      await device.read(buffer, position + from);
    },
    write: async (buffer, from) => {
      check(from, buffer.length);
      await device.write(buffer, position + from);
    },
    readBack: async (buffer, from) => {
      check(from, buffer.length);
      await device.readBack(buffer, position + from);
    },
    tryZeroing: async (from, length) => {
      check(from, length);
      return device.tryZeroing(position + from, length);
    },
    zero: async (from, length) => {
      check(from, length);
      await device.zero(position + from, length);
    },
    flush: () => device.flush(),
    close: async () => undefined,
  };
}
