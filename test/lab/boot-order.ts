/** What a BMC can ask of the firmware for the next start. `None`: the firmware's own variables decide. */
export const BOOT_TARGETS = ['None', 'Pxe', 'Hdd'] as const;
export type BootTarget = (typeof BOOT_TARGETS)[number];

/**
 * QEMU's `bootindex` of each device for a boot target; -1 means that the device is not tried.
 * With no index at all QEMU gives the firmware no list, and the order in its own variables counts.
 */
export function bootIndexes(
  target: BootTarget,
  nics: readonly string[],
  disks: readonly string[],
): { device: string; index: number }[] {
  const orders: Record<BootTarget, readonly string[]> = { None: [], Pxe: [...nics, ...disks], Hdd: disks };
  const order = orders[target];
  return [...nics, ...disks].map((device) => ({ device, index: order.indexOf(device) }));
}
