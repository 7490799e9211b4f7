import { Type, type Static } from 'typebox';

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);
const text = nullable(Type.String());
const integer = nullable(Type.Integer());

/** A disk as IPA's inventory shows it (IPA `hardware.py` BlockDevice). `size` is bytes. */
export const DiskSchema = Type.Object({
  name: Type.String(),
  model: text,
  size: Type.Integer(),
  rotational: nullable(Type.Boolean()),
  wwn: text,
  serial: text,
  vendor: text,
  wwn_with_extension: text,
  wwn_vendor_extension: text,
  hctl: text,
  by_path: text,
  logical_sectors: integer,
  physical_sectors: integer,
  tran: text,
});
export type Disk = Static<typeof DiskSchema>;

/** `speed_mbps` is megabits a second; vendor and product are hexadecimal PCI ids with 0x; `lldp` has types and hexadecimal values. */
export const InterfaceSchema = Type.Object({
  name: Type.String(),
  mac_address: Type.String(),
  ipv4_address: text,
  ipv6_address: text,
  has_carrier: nullable(Type.Boolean()),
  lldp: nullable(Type.Array(Type.Tuple([Type.Integer(), Type.String()]))),
  vendor: text,
  product: text,
  client_id: text,
  biosdevname: text,
  speed_mbps: integer,
  pci_address: text,
  driver: text,
});
export type NetworkInterface = Static<typeof InterfaceSchema>;

/** gophercloud and Metal3 decode these types strictly: frequency is text (MHz), counts and sizes are integers. */
export const InventorySchema = Type.Object({
  interfaces: Type.Array(InterfaceSchema),
  cpu: Type.Object({
    model_name: Type.String(),
    frequency: Type.String(),
    count: Type.Integer(),
    architecture: Type.String(),
    flags: Type.Array(Type.String()),
    socket_count: Type.Integer(),
  }),
  disks: Type.Array(DiskSchema),
  /** `total` is bytes as the kernel counts them, `physical_mb` MiB of installed memory. */
  memory: Type.Object({ total: Type.Integer(), physical_mb: Type.Integer() }),
  bmc_address: text,
  bmc_v6address: text,
  bmc_mac: Type.Optional(Type.String()),
  system_vendor: Type.Object({
    product_name: Type.String(),
    serial_number: Type.String(),
    manufacturer: Type.String(),
    firmware: Type.Object({ vendor: Type.String(), version: Type.String(), build_date: Type.String() }),
  }),
  boot: Type.Object({
    current_boot_mode: Type.Union([Type.Literal('uefi'), Type.Literal('bios')]),
    pxe_interface: text,
  }),
  hostname: Type.String(),
});
export type Inventory = Static<typeof InventorySchema>;

/**
 * What IPA's inventory has no place for, under a key of its own beside it: Ironic stores it with the rest, its hooks and strict
 * readers of the inventory never see it. Sizes are MiB, speeds megatransfers a second; null is "the machine does not say".
 */
export const DetailsSchema = Type.Object({
  boot: Type.Object({ secure_boot: nullable(Type.Boolean()), setup_mode: nullable(Type.Boolean()) }),
  /** One for each slot; an empty one has the size 0. */
  dimms: Type.Array(
    Type.Object({
      slot: text,
      bank: text,
      size_mb: Type.Integer(),
      type: text,
      form_factor: text,
      speed_mts: integer,
      configured_mts: integer,
      manufacturer: text,
      serial: text,
      part_number: text,
    }),
  ),
  /** Ids are hexadecimal without 0x; `slot` is the name that stands on the board. */
  accelerators: Type.Array(
    Type.Object({
      kind: Type.String(),
      pci_address: Type.String(),
      vendor_id: Type.String(),
      product_id: Type.String(),
      subsystem_vendor_id: text,
      subsystem_product_id: text,
      vendor: text,
      product: text,
      slot: text,
      driver: text,
      numa_node: integer,
    }),
  ),
  /** `device` is null where the firmware tells of a TPM and the kernel has none. */
  tpm: nullable(Type.Object({ device: text, version: text, manufacturer: text, firmware: text })),
  /** `component` is BIOS, the name of a device, or what the firmware calls it. */
  firmware: Type.Array(Type.Object({ component: Type.String(), version: Type.String(), vendor: text, date: text })),
  microcode: text,
  /** Only of a machine whose firmware has an iBFT that this ramdisk can read. `lun` as the kernel writes it; `mac` of the card. */
  iscsi_boot: Type.Optional(Type.Array(Type.Object({ target: Type.String(), portal: text, lun: text, mac: text }))),
});
export type Details = Static<typeof DetailsSchema>;

/** Body that the ramdisk posts to `/v1/continue_inspection`. */
export const InspectionDataSchema = Type.Object({
  inventory: InventorySchema,
  root_disk: Type.Optional(DiskSchema),
  boot_interface: text,
  configuration: Type.Object({
    collectors: Type.Array(Type.String()),
    managers: Type.Array(Type.Object({ name: Type.String(), version: Type.String() })),
  }),
  ingot: Type.Optional(DetailsSchema),
  logs: Type.Optional(Type.String()),
  error: text,
});
export type InspectionData = Static<typeof InspectionDataSchema>;
