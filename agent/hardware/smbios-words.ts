// Words of the SMBIOS specification (DSP0134, 3.7) for the numbers in its structures, in the short form that operators know from
// dmidecode. Lists start at the number that is named.

const list = (words: string): readonly string[] => words.split('|');

/** From 1 (7.5.1). */
export const PROCESSOR_TYPES = list('Other|Unknown|Central Processor|Math Processor|DSP Processor|Video Processor');

/** From 0 (7.5.6, bits 0 to 2). */
export const PROCESSOR_STATUS = list(
  'Unknown|Enabled|Disabled By User|Disabled By BIOS|Idle|<OUT OF SPEC>|<OUT OF SPEC>|Other',
);

/** From 1 (7.5.5): how a processor is held. */
export const PROCESSOR_UPGRADES = [
  ...list('Other|Unknown|Daughter Board|ZIF Socket|Replaceable Piggy Back|None|LIF Socket|Slot 1|Slot 2'),
  ...list('370-pin Socket|Slot A|Slot M'),
  ...list(
    '423|A (Socket 462)|478|754|940|939|mPGA604|LGA771|LGA775|S1|AM2|F (1207)|LGA1366|G34|AM3|C32|LGA1156|LGA1567|PGA988A|BGA1288|rPGA988B|BGA1023|BGA1224|BGA1155|LGA1356|LGA2011|FS1|FS2|FM1|FM2|LGA2011-3|LGA1356-3|LGA1150|BGA1168|BGA1234|BGA1364|AM4|LGA1151|BGA1356|BGA1440|BGA1515|LGA3647-1|SP3|SP3r2|LGA2066|BGA1392|BGA1510|BGA1528|LGA4189|LGA1200|LGA4677|LGA1700|BGA1744|BGA1781|BGA1211|BGA2422|LGA1211|LGA2422|LGA5773|BGA5773|AM5|SP5|SP6|BGA883|BGA1190|BGA4129|LGA4710|LGA7529',
  ).map((name) => `Socket ${name}`),
];

/** Bits 2 to 9 (7.5.9). */
export const PROCESSOR_CHARACTERISTICS = list(
  '64-bit capable|Multi-Core|Hardware Thread|Execute Protection|Enhanced Virtualization|Power/Performance Control|128-bit Capable|Arm64 SoC ID',
);

/** Feature bits of CPUID leaf 1, EDX, by bit. */
export const CPUID_FLAGS: Readonly<Record<number, string>> = {
  0: 'FPU (Floating-point unit on-chip)',
  1: 'VME (Virtual mode extension)',
  2: 'DE (Debugging extension)',
  3: 'PSE (Page size extension)',
  4: 'TSC (Time stamp counter)',
  5: 'MSR (Model specific registers)',
  6: 'PAE (Physical address extension)',
  7: 'MCE (Machine check exception)',
  8: 'CX8 (CMPXCHG8 instruction supported)',
  9: 'APIC (On-chip APIC hardware supported)',
  11: 'SEP (Fast system call)',
  12: 'MTRR (Memory type range registers)',
  13: 'PGE (Page global enable)',
  14: 'MCA (Machine check architecture)',
  15: 'CMOV (Conditional move instruction supported)',
  16: 'PAT (Page attribute table)',
  17: 'PSE-36 (36-bit page size extension)',
  18: 'PSN (Processor serial number present and enabled)',
  19: 'CLFSH (CLFLUSH instruction supported)',
  21: 'DS (Debug store)',
  22: 'ACPI (ACPI supported)',
  23: 'MMX (MMX technology supported)',
  24: 'FXSR (FXSAVE and FXSTOR instructions supported)',
  25: 'SSE (Streaming SIMD extensions)',
  26: 'SSE2 (Streaming SIMD extensions 2)',
  27: 'SS (Self-snoop)',
  28: 'HTT (Multi-threading)',
  29: 'TM (Thermal monitor supported)',
  31: 'PBE (Pending break enabled)',
};

/** Bits 3 to 31 (7.1.1). Bit 3 says that the others say nothing. */
export const BIOS_CHARACTERISTICS = [
  ...list('BIOS characteristics not supported|ISA is supported|MCA is supported|EISA is supported|PCI is supported'),
  ...list('PC Card (PCMCIA) is supported|PNP is supported|APM is supported|BIOS is upgradeable'),
  ...list('BIOS shadowing is allowed|VLB is supported|ESCD support is available|Boot from CD is supported'),
  ...list('Selectable boot is supported|BIOS ROM is socketed|Boot from PC Card (PCMCIA) is supported|EDD is supported'),
  ...list(
    'Japanese floppy for NEC 9800 1.2 MB is supported (int 13h)|Japanese floppy for Toshiba 1.2 MB is supported (int 13h)',
  ),
  ...list('5.25"/360 kB|5.25"/1.2 MB|3.5"/720 kB|3.5"/2.88 MB').map(
    (floppy) => `${floppy} floppy services are supported (int 13h)`,
  ),
  ...list('Print screen service is supported (int 5h)|8042 keyboard services are supported (int 9h)'),
  ...list('Serial services are supported (int 14h)|Printer services are supported (int 17h)'),
  ...list('CGA/mono video services are supported (int 10h)|NEC PC-98'),
];

/** Bits 0 to 7 of the first extension byte (7.1.2.1), and 0 to 6 of the second (7.1.2.2). */
export const BIOS_EXTENSIONS = [
  list(
    'ACPI is supported|USB legacy is supported|AGP is supported|I2O boot is supported|LS-120 boot is supported|ATAPI Zip drive boot is supported|IEEE 1394 boot is supported|Smart battery is supported',
  ),
  list(
    'BIOS boot specification is supported|Function key-initiated network boot is supported|Targeted content distribution is supported|UEFI is supported|System is a virtual machine|Manufacturing mode is supported|Manufacturing mode is enabled',
  ),
] as const;

/** From 1 (7.17.1), and from 0xA0. */
export const ARRAY_LOCATIONS = list(
  'Other|Unknown|System Board Or Motherboard|ISA Add-on Card|EISA Add-on Card|PCI Add-on Card|MCA Add-on Card|PCMCIA Add-on Card|Proprietary Add-on Card|NuBus',
);
export const ARRAY_LOCATIONS_A0 = list(
  'PC-98/C20 Add-on Card|PC-98/C24 Add-on Card|PC-98/E Add-on Card|PC-98/Local Bus Add-on Card|CXL Add-on Card',
);

/** From 1 (7.17.2). */
export const ARRAY_USES = list('Other|Unknown|System Memory|Video Memory|Flash Memory|Non-volatile RAM|Cache Memory');

/** From 1 (7.17.3). */
export const ERROR_CORRECTIONS = list('Other|Unknown|None|Parity|Single-bit ECC|Multi-bit ECC|CRC');

/** From 1 (7.18.1). */
export const FORM_FACTORS = list(
  'Other|Unknown|SIMM|SIP|Chip|DIP|ZIP|Proprietary Card|DIMM|TSOP|Row Of Chips|RIMM|SODIMM|SRIMM|FB-DIMM|Die',
);

/** From 1 (7.18.2). */
export const MEMORY_TYPES = list(
  'Other|Unknown|DRAM|EDRAM|VRAM|SRAM|RAM|ROM|Flash|EEPROM|FEPROM|EPROM|CDRAM|3DRAM|SDRAM|SGRAM|RDRAM|DDR|DDR2|DDR2 FB-DIMM|Reserved|Reserved|Reserved|DDR3|FBD2|DDR4|LPDDR|LPDDR2|LPDDR3|LPDDR4|Logical non-volatile device|HBM|HBM2|DDR5|LPDDR5|HBM3',
);

/** Bits 1 to 15 (7.18.3). */
export const MEMORY_TYPE_DETAILS = list(
  'Other|Unknown|Fast-paged|Static Column|Pseudo-static|RAMBus|Synchronous|CMOS|EDO|Window DRAM|Cache DRAM|Non-Volatile|Registered (Buffered)|Unbuffered (Unregistered)|LRDIMM',
);

/** From 1 (7.18.6). */
export const MEMORY_TECHNOLOGIES = list(
  'Other|Unknown|DRAM|NVDIMM-N|NVDIMM-F|NVDIMM-P|Intel Optane DC persistent memory',
);

/** Bits 1 to 5 (7.18.7). */
export const MEMORY_MODES = list(
  'Other|Unknown|Volatile memory|Byte-accessible persistent memory|Block-accessible persistent memory',
);

/** How a processor's id is to be read. */
export type ProcessorKind = 'other' | 'intel' | 'amd' | 'arm' | 'loongarch';

/** Processor families from a number on (7.5.2), for machines that can run a 64-bit system of today. */
export const PROCESSOR_FAMILIES: readonly (readonly [from: number, kind: ProcessorKind, names: readonly string[]])[] = [
  [0x01, 'other', list('Other|Unknown')],
  [0x0f, 'intel', list('Celeron')],
  [0x28, 'intel', list('Core Duo|Core Duo Mobile|Core Solo Mobile|Atom|Core M|Core m3|Core m5|Core m7')],
  [0x3b, 'amd', list('Opteron 6100|Opteron 4100|Opteron 6200|Opteron 4200|FX')],
  [0x46, 'amd', list('C-Series|E-Series|A-Series|G-Series|Z-Series|R-Series')],
  [0x4c, 'amd', list('Opteron 4300|Opteron 6300|Opteron 3300|FirePro')],
  [0x66, 'amd', list('Athlon X4|Opteron X1000|Opteron X2000|Opteron A-Series|Opteron X3000|Zen')],
  [0x83, 'amd', list('Athlon 64|Opteron|Sempron|Turion 64|Dual-Core Opteron|Athlon 64 X2|Turion 64 X2')],
  [0x8a, 'amd', list('Quad-Core Opteron|Third-Generation Opteron|Phenom FX|Phenom X4|Phenom X2|Athlon X2')],
  [0xa1, 'intel', list('Quad-Core Xeon 3200|Dual-Core Xeon 3000|Quad-Core Xeon 5300|Dual-Core Xeon 5100')],
  [0xa5, 'intel', list('Dual-Core Xeon 5000|Dual-Core Xeon LV|Dual-Core Xeon ULV|Dual-Core Xeon 7100')],
  [0xa9, 'intel', list('Quad-Core Xeon 5400|Quad-Core Xeon|Dual-Core Xeon 5200|Dual-Core Xeon 7200')],
  [0xad, 'intel', list('Quad-Core Xeon 7300|Quad-Core Xeon 7400|Multi-Core Xeon 7400')],
  [0xb2, 'intel', list('Pentium 4|Xeon')],
  [0xb5, 'intel', list('Xeon MP')],
  [0xbb, 'intel', list('Pentium D|Pentium EE')],
  [0xbe, 'intel', list('Core 2|Core 2 Duo|Core 2 Solo|Core 2 Extreme|Core 2 Quad|Core 2 Extreme Mobile')],
  [0xc4, 'intel', list('Core 2 Duo Mobile|Core 2 Solo Mobile|Core i7|Dual-Core Celeron')],
  [0xcd, 'intel', list('Core i5|Core i3|Core i9')],
  [0xd6, 'intel', list('Multi-Core Xeon|Dual-Core Xeon 3xxx|Quad-Core Xeon 3xxx')],
  [0xda, 'intel', list('Dual-Core Xeon 5xxx|Quad-Core Xeon 5xxx')],
  [0xdd, 'intel', list('Dual-Core Xeon 7xxx|Quad-Core Xeon 7xxx|Multi-Core Xeon 7xxx|Multi-Core Xeon 3400')],
  [0xe4, 'amd', list('Opteron 3000|Sempron II|Embedded Opteron Quad-Core|Phenom Triple-Core')],
  [0xe8, 'amd', list('Turion Ultra Dual-Core Mobile|Turion Dual-Core Mobile|Athlon Dual-Core|Sempron SI')],
  [0xec, 'amd', list('Phenom II|Athlon II|Six-Core Opteron|Sempron M')],
  [0x101, 'arm', list('ARMv8|ARMv9')],
  [0x258, 'loongarch', list('LoongArch|Loongson 1|Loongson 2|Loongson 3|Loongson 2K|Loongson 3A|Loongson 3B')],
  [0x25f, 'loongarch', list('Loongson 3C|Loongson 3D|Loongson 3E|Dual-Core Loongson 2K 2xxx')],
  [0x26c, 'loongarch', list('Quad-Core Loongson 3A 5xxx|Multi-Core Loongson 3A 5xxx')],
  [0x26e, 'loongarch', list('Quad-Core Loongson 3B 5xxx|Multi-Core Loongson 3B 5xxx')],
  [0x270, 'loongarch', list('Multi-Core Loongson 3C 5xxx|Multi-Core Loongson 3D 5xxx')],
];
