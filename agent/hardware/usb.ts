import type { AgentOs } from '../os/door.ts';

const DEVICES = '/sys/bus/usb/devices';
const HUB = '09';

/** IPA's shape. `handle` is lshw's: USB, bus number, device number. */
export type UsbDevice = { product: string; vendor: string; handle: string };

async function describe(os: Pick<AgentOs, 'files'>, name: string): Promise<(UsbDevice & { order: number })[]> {
  const read = async (file: string) => (await os.files.read(`${DEVICES}/${name}/${file}`))?.trim() ?? '';
  const [vendorId, productId, kind, maker, product, bus, device] = await Promise.all(
    ['idVendor', 'idProduct', 'bDeviceClass', 'manufacturer', 'product', 'busnum', 'devnum'].map(read),
  );
  // What has no id is an interface of a device; a hub is the way to devices, and each bus starts with one.
  if (!vendorId || kind === HUB) return [];
  const numbers = [Number(bus), Number(device)] as const;
  return [
    {
      product: product || (productId ?? ''),
      vendor: maker || vendorId,
      handle: `USB:${numbers.join(':')}`,
      order: numbers[0] * 1000 + numbers[1],
    },
  ];
}

/** Devices on USB that are no hubs, by bus and number; where one does not say its maker or name, its hexadecimal id stands there. */
export async function listUsb(os: Pick<AgentOs, 'files'>): Promise<UsbDevice[]> {
  const names = await os.files.list(DEVICES);
  const found = await Promise.all(names.map((name) => describe(os, name)));
  return found
    .flat()
    .toSorted((a, b) => a.order - b.order)
    .map(({ product, vendor, handle }) => ({ product, vendor, handle }));
}

/** The collector usb-devices. */
export async function collectUsbDevices(os: Pick<AgentOs, 'files'>): Promise<Record<string, unknown>> {
  return { usb_devices: await listUsb(os) };
}
