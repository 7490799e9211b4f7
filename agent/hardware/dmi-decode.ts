import type { AgentOs } from '../os/door.ts';
import { readDmi } from './dmi.ts';
import { type SmbiosStructure, textAt } from './smbios.ts';
import {
  ARRAY_LOCATIONS,
  ARRAY_LOCATIONS_A0,
  ARRAY_USES,
  BIOS_CHARACTERISTICS,
  BIOS_EXTENSIONS,
  CPUID_FLAGS,
  ERROR_CORRECTIONS,
  FORM_FACTORS,
  MEMORY_MODES,
  MEMORY_TECHNOLOGIES,
  MEMORY_TYPE_DETAILS,
  MEMORY_TYPES,
  PROCESSOR_CHARACTERISTICS,
  PROCESSOR_FAMILIES,
  PROCESSOR_STATUS,
  PROCESSOR_TYPES,
  PROCESSOR_UPGRADES,
  type ProcessorKind,
} from './smbios-words.ts';

// The collector dmi-decode. IPA runs `dmidecode -t bios -t processor -t memory` and makes objects of its lines; here the same
// objects come from the kernel's copy of the table, so that the ramdisk needs no dmidecode. Names and values are the ones that
// dmidecode 3.6 prints: test/agent/hardware/dmi-decode.test.ts compares with what it printed.

type Value = string | string[];
type Show = (structure: SmbiosStructure) => Value | undefined;
/** A field is there when the structure has so many bytes: 7.1 to 7.18 of the specification grew with its versions. */
type Field = readonly [name: string, bytes: number, show: Show];
export type DmiRecord = Record<string, Value>;

const OUT_OF_SPEC = '<OUT OF SPEC>';
const hex = (number: number, digits: number) => `0x${number.toString(16).toUpperCase().padStart(digits, '0')}`;

const text =
  (at: number): Show =>
  (structure) =>
    structure.bytes.readUInt8(at) === 0 ? 'Not Specified' : (textAt(structure, at) ?? '<BAD INDEX>');
const byte =
  (at: number, show: (value: number) => Value | undefined): Show =>
  ({ bytes }) =>
    show(bytes.readUInt8(at));
const word16 =
  (at: number, show: (value: number) => Value | undefined): Show =>
  ({ bytes }) =>
    show(bytes.readUInt16LE(at));

/** A word by its number, the first of which is 1. */
const named =
  (words: readonly string[]) =>
  (value: number): string =>
    words[value - 1] ?? OUT_OF_SPEC;
/** The words of the bits that are set; the first word is that of bit `from`. */
const bits = (value: number, words: readonly string[], from: number): string[] =>
  words.filter((_, index) => ((value >>> (index + from)) & 1) === 1);
/** Bits as one line. */
const listed = (words: readonly string[]) => (value: number) => bits(value, words, 1).join(' ') || 'None';

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB'];
/** A size in the largest unit that shows its two highest digits to the base of 1024. @param unit of the number: 0 bytes, 1 kB */
function size(value: bigint, unit: 0 | 1): string {
  let power = 0;
  while (power < 6 && value >> BigInt(10 * (power + 1)) > 0n) power += 1;
  if (power > 0 && (value >> BigInt(10 * (power - 1))) & 1023n) power -= 1;
  return `${value >> BigInt(10 * power)} ${UNITS[power + unit]}`;
}
const size64 =
  (at: number): Show =>
  ({ bytes }) => {
    const value = bytes.readBigUInt64LE(at);
    if (value === 0n) return 'None';
    return value === 0xff_ff_ff_ff_ff_ff_ff_ffn ? 'Unknown' : size(value, 0);
  };

const megahertz = (value: number) => (value === 0 ? 'Unknown' : `${value} MHz`);
const errorHandle = (value: number) =>
  value === 0xff_fe ? 'Not Provided' : value === 0xff_ff ? 'No Error' : hex(value, 4);
const cacheHandle = (value: number) => (value === 0xff_ff ? 'Not Provided' : hex(value, 4));
const width = (value: number) => (value === 0 || value === 0xff_ff ? 'Unknown' : `${value} bits`);
const manufacturerId = (value: number) =>
  value === 0 ? 'Unknown' : `Bank ${(value & 0x7f) + 1}, Hex ${hex(value >> 8, 2)}`;
const productId = (value: number) => (value === 0 ? 'Unknown' : hex(value, 4));
const revision = (high: number, low: number): Show => {
  return ({ bytes }) =>
    bytes[high] === 0xff || bytes[low] === 0xff ? undefined : `${bytes.readUInt8(high)}.${bytes.readUInt8(low)}`;
};

function volts(millivolts: number): string {
  if (millivolts === 0) return 'Unknown';
  return millivolts % 100 === 0 ? `${(millivolts / 1000).toFixed(1)} V` : `${millivolts / 1000} V`;
}

const BIOS: readonly Field[] = [
  ['Vendor', 0x12, text(0x04)],
  ['Version', 0x12, text(0x05)],
  ['Release Date', 0x12, text(0x08)],
  // UEFI has no segment that it starts at.
  ['Address', 0x12, word16(0x06, (segment) => (segment === 0 ? undefined : `${hex(segment, 4)}0`))],
  [
    'Runtime Size',
    0x12,
    word16(0x06, (segment) => {
      const length = (0x1_00_00 - segment) * 16;
      return segment === 0 ? undefined : length % 1024 === 0 ? `${length / 1024} kB` : `${length} bytes`;
    }),
  ],
  [
    'ROM Size',
    0x12,
    ({ bytes }) => {
      const blocks = bytes.readUInt8(0x09);
      if (blocks !== 0xff) return size(BigInt(blocks + 1) * 64n, 1);
      const extended = bytes.length < 0x1a ? 16 : bytes.readUInt16LE(0x18);
      return `${extended & 0x3f_ff} ${['MB', 'GB'][extended >> 14] ?? OUT_OF_SPEC}`;
    },
  ],
  [
    'Characteristics',
    0x12,
    ({ bytes }) => {
      const all = bytes.readUInt32LE(0x0a);
      const plain = (all & 8) === 8 ? BIOS_CHARACTERISTICS.slice(0, 1) : bits(all, BIOS_CHARACTERISTICS, 3);
      return [...plain, ...BIOS_EXTENSIONS.flatMap((words, index) => bits(bytes[0x12 + index] ?? 0, words, 0))];
    },
  ],
  ['BIOS Revision', 0x18, revision(0x14, 0x15)],
  ['Firmware Revision', 0x18, revision(0x16, 0x17)],
];

function familyOf({ bytes }: SmbiosStructure): { kind: ProcessorKind; name: string } {
  const short = bytes.readUInt8(0x06);
  const code = short === 0xfe && bytes.length >= 0x2a ? bytes.readUInt16LE(0x28) : short;
  const row = PROCESSOR_FAMILIES.find(([from, , names]) => code >= from && code < from + names.length);
  return row ? { kind: row[1], name: row[2][code - row[0]] ?? OUT_OF_SPEC } : { kind: 'other', name: OUT_OF_SPEC };
}

/** What the processor's own id says, by its maker's rules. */
const SIGNATURES: Record<ProcessorKind, Show> = {
  other: () => undefined,
  intel: ({ bytes }) => {
    const id = bytes.readUInt32LE(0x08);
    const family = ((id >> 20) & 0xff) + ((id >> 8) & 0xf);
    const model = ((id >> 12) & 0xf0) + ((id >> 4) & 0xf);
    return `Type ${(id >> 12) & 3}, Family ${family}, Model ${model}, Stepping ${id & 0xf}`;
  },
  amd: ({ bytes }) => {
    const id = bytes.readUInt32LE(0x08);
    const base = (id >> 8) & 0xf;
    const extended = base === 0xf;
    const family = base + (extended ? (id >> 20) & 0xff : 0);
    const model = ((id >> 4) & 0xf) | (extended ? (id >> 12) & 0xf0 : 0);
    return `Family ${family}, Model ${model}, Stepping ${id & 0xf}`;
  },
  arm: ({ bytes }) => {
    const [id, second] = [bytes.readUInt32LE(0x08), bytes.readUInt32LE(0x0c)];
    const small = (number: number, digits: number) => `0x${number.toString(16).padStart(digits, '0')}`;
    if (bytes.length >= 0x28 && (bytes.readUInt16LE(0x26) & 0x2_00) !== 0) {
      const maker = `JEP-106 Bank ${small((id >>> 24) & 0x7f, 2)} Manufacturer ${small((id >> 16) & 0x7f, 2)}`;
      return `${maker}, SoC ID ${small(id & 0xff_ff, 4)}, SoC Revision ${small(second, 8)}`;
    }
    if (id === 0) return undefined;
    const core = `Implementor ${small(id >>> 24, 2)}, Variant ${small((id >> 20) & 0xf, 1)}`;
    return `${core}, Architecture ${(id >> 16) & 0xf}, Part ${small((id >> 4) & 0xf_ff, 3)}, Revision ${id & 0xf}`;
  },
  loongarch: ({ bytes }) => `Processor Identity 0x${bytes.readUInt32LE(0x08).toString(16).padStart(8, '0')}`,
};

/** Tenths of a volt, or one of three bits. */
function processorVoltage(code: number): string | undefined {
  if ((code & 0x80) !== 0) return `${((code & 0x7f) / 10).toFixed(1)} V`;
  return bits(code & 7, ['5.0 V', '3.3 V', '2.9 V'], 0).join(' ') || 'Unknown';
}

/** A count of one byte; where it is full, the word further on counts. */
const counted =
  (at: number, wideAt: number): Show =>
  ({ bytes }) => {
    const short = bytes.readUInt8(at);
    const value = short === 0xff && bytes.length >= wideAt + 2 ? bytes.readUInt16LE(wideAt) : short;
    return short === 0 ? undefined : String(value);
  };

const PROCESSOR: readonly Field[] = [
  ['Socket Designation', 0x1a, text(0x04)],
  ['Type', 0x1a, byte(0x05, named(PROCESSOR_TYPES))],
  ['Family', 0x1a, (structure) => familyOf(structure).name],
  ['Manufacturer', 0x1a, text(0x07)],
  [
    'ID',
    0x1a,
    ({ bytes }) =>
      [...bytes.subarray(0x08, 0x10)].map((value) => value.toString(16).toUpperCase().padStart(2, '0')).join(' '),
  ],
  ['Signature', 0x1a, (structure) => SIGNATURES[familyOf(structure).kind](structure)],
  [
    'Flags',
    0x1a,
    (structure) => {
      if (!['intel', 'amd'].includes(familyOf(structure).kind)) return undefined;
      const edx = structure.bytes.readUInt32LE(0x0c);
      const flags = Object.entries(CPUID_FLAGS).flatMap(([bit, name]) => ((edx >>> Number(bit)) & 1 ? [name] : []));
      return flags.length > 0 ? flags : 'None';
    },
  ],
  ['Version', 0x1a, text(0x10)],
  ['Voltage', 0x1a, byte(0x11, processorVoltage)],
  ['External Clock', 0x1a, word16(0x12, megahertz)],
  ['Max Speed', 0x1a, word16(0x14, megahertz)],
  ['Current Speed', 0x1a, word16(0x16, megahertz)],
  [
    'Status',
    0x1a,
    byte(0x18, (value) => ((value & 0x40) === 0 ? 'Unpopulated' : `Populated, ${PROCESSOR_STATUS[value & 7]}`)),
  ],
  ['Upgrade', 0x1a, byte(0x19, named(PROCESSOR_UPGRADES))],
  ['L1 Cache Handle', 0x20, word16(0x1a, cacheHandle)],
  ['L2 Cache Handle', 0x20, word16(0x1c, cacheHandle)],
  ['L3 Cache Handle', 0x20, word16(0x1e, cacheHandle)],
  ['Serial Number', 0x23, text(0x20)],
  ['Asset Tag', 0x23, text(0x21)],
  ['Part Number', 0x23, text(0x22)],
  ['Core Count', 0x28, counted(0x23, 0x2a)],
  ['Core Enabled', 0x28, counted(0x24, 0x2c)],
  ['Thread Count', 0x28, counted(0x25, 0x2e)],
  ['Thread Enabled', 0x32, word16(0x30, (value) => (value === 0 ? undefined : String(value)))],
  [
    'Characteristics',
    0x28,
    word16(0x26, (value) => ((value & 0xfc) === 0 ? 'None' : bits(value, PROCESSOR_CHARACTERISTICS, 2))),
  ],
];

const ARRAY: readonly Field[] = [
  ['Location', 0x0f, byte(0x04, (value) => ARRAY_LOCATIONS_A0[value - 0xa0] ?? named(ARRAY_LOCATIONS)(value))],
  ['Use', 0x0f, byte(0x05, named(ARRAY_USES))],
  ['Error Correction Type', 0x0f, byte(0x06, named(ERROR_CORRECTIONS))],
  [
    'Maximum Capacity',
    0x0f,
    ({ bytes }) => {
      const kilobytes = bytes.readUInt32LE(0x07);
      if (kilobytes !== 0x80_00_00_00) return size(BigInt(kilobytes), 1);
      return bytes.length < 0x17 ? 'Unknown' : size(bytes.readBigUInt64LE(0x0f), 0);
    },
  ],
  ['Error Information Handle', 0x0f, word16(0x0b, errorHandle)],
  ['Number Of Devices', 0x0f, word16(0x0d, String)],
];

function moduleSize({ bytes }: SmbiosStructure): string {
  const code = bytes.readUInt16LE(0x0c);
  if (code === 0x7f_ff && bytes.length >= 0x20) {
    const mib = bytes.readUInt32LE(0x1c) & 0x7f_ff_ff_ff;
    if (mib % 1024 !== 0) return `${mib} MB`;
    return (mib >> 10) % 1024 === 0 ? `${mib >> 20} TB` : `${mib >> 10} GB`;
  }
  if (code === 0) return 'No Module Installed';
  if (code === 0xff_ff) return 'Unknown';
  return size(BigInt(code & 0x7f_ff) * ((code & 0x80_00) === 0 ? 1024n : 1n), 1);
}

/** Of an empty slot, dmidecode shows no more than its place. */
const ofModule =
  (show: Show): Show =>
  (structure) =>
    structure.bytes.readUInt16LE(0x0c) === 0 ? undefined : show(structure);

/** Megatransfers a second; where the word is full, the double word further on counts. */
const speed = (at: number, wideAt: number): Show =>
  ofModule(({ bytes }) => {
    const short = bytes.readUInt16LE(at);
    const value = short === 0xff_ff ? (bytes.length >= 0x5c ? bytes.readUInt32LE(wideAt) : 0) : short;
    return value === 0 ? 'Unknown' : `${value} MT/s`;
  });

const MEMORY_DEVICE: readonly Field[] = [
  ['Array Handle', 0x15, word16(0x04, (value) => hex(value, 4))],
  ['Error Information Handle', 0x15, word16(0x06, errorHandle)],
  ['Total Width', 0x15, word16(0x08, width)],
  ['Data Width', 0x15, word16(0x0a, width)],
  ['Size', 0x15, moduleSize],
  ['Form Factor', 0x15, byte(0x0e, named(FORM_FACTORS))],
  ['Set', 0x15, byte(0x0f, (value) => (value === 0 ? 'None' : value === 0xff ? 'Unknown' : String(value)))],
  ['Locator', 0x15, text(0x10)],
  ['Bank Locator', 0x15, text(0x11)],
  ['Type', 0x15, byte(0x12, named(MEMORY_TYPES))],
  ['Type Detail', 0x15, word16(0x13, listed(MEMORY_TYPE_DETAILS))],
  ['Speed', 0x17, speed(0x15, 0x54)],
  ['Manufacturer', 0x1b, ofModule(text(0x17))],
  ['Serial Number', 0x1b, ofModule(text(0x18))],
  ['Asset Tag', 0x1b, ofModule(text(0x19))],
  ['Part Number', 0x1b, ofModule(text(0x1a))],
  ['Rank', 0x1c, ofModule(byte(0x1b, (value) => ((value & 0xf) === 0 ? 'Unknown' : String(value & 0xf))))],
  ['Configured Memory Speed', 0x22, speed(0x20, 0x58)],
  ['Minimum Voltage', 0x28, ofModule(word16(0x22, volts))],
  ['Maximum Voltage', 0x28, ofModule(word16(0x24, volts))],
  ['Configured Voltage', 0x28, ofModule(word16(0x26, volts))],
  ['Memory Technology', 0x34, ofModule(byte(0x28, named(MEMORY_TECHNOLOGIES)))],
  ['Memory Operating Mode Capability', 0x34, ofModule(word16(0x29, listed(MEMORY_MODES)))],
  ['Firmware Version', 0x34, ofModule(text(0x2b))],
  ['Module Manufacturer ID', 0x34, ofModule(word16(0x2c, manufacturerId))],
  ['Module Product ID', 0x34, ofModule(word16(0x2e, productId))],
  ['Memory Subsystem Controller Manufacturer ID', 0x34, ofModule(word16(0x30, manufacturerId))],
  ['Memory Subsystem Controller Product ID', 0x34, ofModule(word16(0x32, productId))],
  ['Non-Volatile Size', 0x3c, ofModule(size64(0x34))],
  ['Volatile Size', 0x44, ofModule(size64(0x3c))],
  ['Cache Size', 0x4c, ofModule(size64(0x44))],
  ['Logical Size', 0x54, ofModule(size64(0x4c))],
];

/** A structure as dmidecode shows it. */
function show(structure: SmbiosStructure, fields: readonly Field[]): DmiRecord {
  const { type, handle, bytes } = structure;
  const record: DmiRecord = { Handle: `Handle ${hex(handle, 4)}, DMI type ${type}, ${bytes.length} bytes` };
  for (const [name, needed, value] of fields) {
    const shown = bytes.length >= needed ? value(structure) : undefined;
    if (shown !== undefined) record[name] = typeof shown === 'string' ? shown.trim() : shown;
  }
  return record;
}

export type DmiData = {
  bios: DmiRecord;
  cpu: DmiRecord[];
  memory: Record<string, Value | number | DmiRecord[]> & { devices: DmiRecord[] };
};

/**
 * IPA's objects: the first array of the memory stands for all, with the devices of all and their number.
 * @param structures of the machine's table
 */
export function decodeDmi(structures: readonly SmbiosStructure[]): DmiData {
  const all = (type: number, fields: readonly Field[]) =>
    structures.filter((structure) => structure.type === type).map((structure) => show(structure, fields));
  const arrays = all(16, ARRAY);
  const [{ Handle: _handle, ...first } = {}] = arrays;
  const count = arrays.reduce((sum, array) => sum + Number(array['Number Of Devices'] ?? 0), 0);
  return {
    bios: all(0, BIOS).at(-1) ?? {},
    cpu: all(4, PROCESSOR),
    memory: {
      ...first,
      ...(arrays.length > 0 && { 'Number Of Devices': count }),
      devices: all(17, MEMORY_DEVICE),
    },
  };
}

/** @throws Failure where the firmware has no table */
export async function collectDmi(os: Pick<AgentOs, 'files'>): Promise<Record<string, unknown>> {
  return { dmi: decodeDmi(await readDmi(os)) };
}
