import type { Block } from './lsblk.ts';

/** Label of the small disk on which Ironic hands parameters to the agent (IPA `utils.py`). */
const PARAMETERS_LABEL = 'ir-vfd-dev';
/** Labels of drives with configuration for the machine, which are copied at start (agent-protocol A.5). */
const CONFIG_LABELS = ['config-2', 'vmedia_boot_iso'];
/** Larger disks on USB are disks (IPA `utils.py`). */
const MOST_BYTES = 4 * 1024 ** 3;

/**
 * How BMCs name the USB drives that they play: vendor and model of the SCSI inquiry, in lower case, as owners of such machines showed
 * them in public (`lsscsi`, bug reports); makers document none. Real cards behind a BMC ("Internal SD-CARD") are not among them.
 */
const PLAYED: readonly { vendor?: RegExp; model: RegExp; by: string }[] = [
  { vendor: /^idrac$/, model: /./, by: "Dell's iDRAC" },
  { vendor: /^ami$/, model: /^virtual/, by: 'an AMI MegaRAC BMC' },
  { vendor: /^aten$/, model: /^virtual/, by: 'a Supermicro BMC' },
  { vendor: /^hpe? ?(?:ilo)?$/, model: /^(?:ilo )?(?:virtual|lun \d+ media)/, by: "HPE's iLO" },
  // The kernel's own gadget (`drivers/usb/gadget/function/storage_common.h`), with which OpenBMC plays drives.
  { vendor: /^linux$/, model: /^file-(?:stor|cd) gadget/, by: 'a BMC on Linux' },
  { model: /^virtual (?:floppy|cdrom|cd|dvd|hdisk|media|sd)/, by: 'a BMC' },
];
/** USB vendor ids that are only BMCs' (usb.ids: American Megatrends). */
const USB_VENDORS: Readonly<Record<string, string>> = { '046b': 'an AMI MegaRAC BMC' };

/** `Virtual HDisk0 ` to `virtual hdisk0`; udev writes underscores for blanks. */
const plain = (text: string | null): string => (text ?? '').replaceAll('_', ' ').trim().toLowerCase();

/**
 * Is a device one that a BMC only plays to the machine? It has nothing of the machine's own on it, and what is written to it may
 * reach somebody's image file.
 * @param vendor SCSI vendor as sysfs has it
 * @param usbVendor id that udev gives (ID_VENDOR_ID)
 * @returns why it is taken for one; undefined for a real disk
 */
export function virtualMediaReason(
  block: Block,
  { vendor, usbVendor }: { vendor: string | null; usbVendor: string | undefined },
  family: readonly Block[],
): string | undefined {
  const labels = family.map(({ label }) => label?.toLowerCase() ?? '');
  if (labels.includes(PARAMETERS_LABEL))
    return `it has the label ${PARAMETERS_LABEL}, of Ironic's drive for parameters`;
  if (block.tran !== 'usb') return undefined;
  const byId = USB_VENDORS[usbVendor ?? ''];
  if (byId !== undefined) return `its USB vendor ${usbVendor} is ${byId}`;
  const known = PLAYED.find((one) => (one.vendor?.test(plain(vendor)) ?? true) && one.model.test(plain(block.model)));
  if (known) return `"${[vendor?.trim(), block.model?.trim()].filter(Boolean).join(' ')}" is a drive of ${known.by}`;
  const config = labels.find((label) => CONFIG_LABELS.includes(label));
  return config !== undefined && (block.size ?? 0) < MOST_BYTES
    ? `it is a USB disk below 4 GiB with the label ${config}, of drives for configuration`
    : undefined;
}
