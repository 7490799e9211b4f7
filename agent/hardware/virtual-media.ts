import type { Block } from './lsblk.ts';

/** Label of the small disk on which Ironic hands parameters to the agent (IPA `utils.py`). */
const PARAMETERS_LABEL = 'ir-vfd-dev';
/** Labels of drives with configuration for the machine, which are copied at start (agent-protocol A.5). */
const CONFIG_LABELS = ['config-2', 'vmedia_boot_iso'];
/** Larger disks on USB are disks (IPA `utils.py`). */
const MOST_BYTES = 4 * 1024 ** 3;

/**
 * How BMCs name the USB drives that they play: vendor and model of the SCSI inquiry, in lower case. From kernel logs that owners of
 * such machines published; a product's own documentation names none.
 */
const PLAYED: readonly { vendor?: RegExp; model: RegExp; by: string }[] = [
  { vendor: /^idrac$/, model: /./, by: "Dell's iDRAC" },
  { model: /^lcdrive$|^maser$|^oemdrv$|^secupd$/, by: "Dell's iDRAC" },
  {
    vendor: /^ami$/,
    model: /^virtual/,
    by: 'an AMI MegaRAC BMC (also ASRock Rack, Gigabyte, Lenovo, Supermicro, Tyan)',
  },
  { vendor: /^aten$|^insyde$|^peppercon$/, model: /virtual|^yyy-|device$/, by: 'a Supermicro BMC' },
  { vendor: /^(?:hp|hpe|ilo)$/, model: /^virtual|^internal sd-?vd?$|^lun \d+ media/, by: "HPE's iLO" },
  { vendor: /^ibm|^lenovo$|^imm$|^xcc$/, model: /virtual|^remote|^emulex/, by: 'an IBM or Lenovo BMC' },
  { vendor: /^cisco$/, model: /^virtual/, by: "Cisco's CIMC" },
  { vendor: /^huawei$|^ibmc$/, model: /virtual|^ibmc/, by: "Huawei's iBMC" },
  { vendor: /^fujitsu$|^ts ?irmc/, model: /virtual|^remote/, by: "Fujitsu's iRMC" },
  {
    vendor: /^openbmc$|^linux$/,
    model: /^virtual|^file-stor gadget|^file-cd gadget/,
    by: 'OpenBMC or another BMC on Linux',
  },
  { model: /virtual (?:floppy|cdrom|cd-rom|cd|dvd|disk|hdisk|media|usb|sd)/, by: 'a BMC' },
];

/** `Virtual HDisk0 ` to `virtual hdisk0`; udev writes underscores for blanks. */
const plain = (text: string | null): string => (text ?? '').replaceAll('_', ' ').trim().toLowerCase();

/**
 * Is a device one that a BMC only plays to the machine? It has nothing of the machine's own on it, and what is written to it may
 * reach somebody's image file.
 * @param vendor SCSI vendor as sysfs has it
 * @returns why it is taken for one; undefined for a real disk
 */
export function virtualMediaReason(block: Block, vendor: string | null, family: readonly Block[]): string | undefined {
  const label = family.map((one) => one.label?.toLowerCase() ?? '').find((one) => one === PARAMETERS_LABEL);
  if (label !== undefined) return `it has the label ${label}, of Ironic's drive for parameters`;
  if (block.tran !== 'usb') return undefined;
  const [maker, model] = [plain(vendor), plain(block.model)];
  const known = PLAYED.find((one) => (one.vendor?.test(maker) ?? true) && one.model.test(model));
  if (known) return `${[vendor?.trim(), block.model?.trim()].filter(Boolean).join(' ')} is how ${known.by} names it`;
  const config = family.map((one) => one.label?.toLowerCase() ?? '').find((one) => CONFIG_LABELS.includes(one));
  return config !== undefined && (block.size ?? 0) < MOST_BYTES
    ? `it is a USB disk below 4 GiB with the label ${config}, of drives for configuration`
    : undefined;
}
