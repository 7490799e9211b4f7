import type { Details } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';
import { describeAccelerators } from './accelerators.ts';
import { readBootTargets } from './boot-targets.ts';
import { findDmi, memoryDevices, moduleMib } from './dmi.ts';
import { listFirmware } from './firmware.ts';
import { meaning, type SmbiosStructure, textAt } from './smbios.ts';
import { FORM_FACTORS, MEMORY_TYPES } from './smbios-words.ts';
import { describeTpm } from './tpm.ts';

/** GUID of the variables that UEFI itself defines. */
const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c';

/** A UEFI variable of one byte, behind its four bytes of attributes; null without UEFI or without such a variable. */
async function efiFlag(os: Pick<AgentOs, 'files'>, name: string): Promise<boolean | null> {
  const bytes = await os.files.readBytes(`/sys/firmware/efi/efivars/${name}-${GLOBAL}`);
  return bytes?.length === 5 ? bytes[4] === 1 : null;
}

/** Megatransfers a second at `at`; where that is full, the double word at `wideAt` counts (SMBIOS 3.3). */
function transfers({ bytes }: SmbiosStructure, at: number, wideAt: number): number | null {
  if (bytes.length < at + 2) return null;
  const short = bytes.readUInt16LE(at);
  if (short !== 0xff_ff) return short || null;
  return bytes.length < wideAt + 4 ? null : bytes.readUInt32LE(wideAt) || null;
}

/** Each slot of the machine's memory, in the firmware's order. */
export function describeDimms(structures: readonly SmbiosStructure[]): Details['dimms'] {
  return memoryDevices(structures).map((device) => {
    const word = (words: readonly string[], at: number) => meaning(words[(device.bytes[at] ?? 0) - 1]);
    const size = moduleMib(device);
    const ofModule = <T>(value: T) => (size === 0 ? null : value);
    return {
      slot: meaning(textAt(device, 0x10)),
      bank: meaning(textAt(device, 0x11)),
      size_mb: size,
      type: ofModule(word(MEMORY_TYPES, 0x12)),
      form_factor: word(FORM_FACTORS, 0x0e),
      speed_mts: ofModule(transfers(device, 0x15, 0x54)),
      configured_mts: ofModule(transfers(device, 0x20, 0x58)),
      manufacturer: ofModule(meaning(textAt(device, 0x17))),
      serial: ofModule(meaning(textAt(device, 0x18))),
      part_number: ofModule(meaning(textAt(device, 0x1a))),
    };
  });
}

async function microcode(os: Pick<AgentOs, 'files'>): Promise<string | null> {
  return (await os.files.read('/sys/devices/system/cpu/cpu0/microcode/version'))?.trim() || null;
}

/** What IPA's inventory has no place for. Nothing in it is needed to run: what cannot be read is null or missing. */
export async function collectDetails(os: Pick<AgentOs, 'files' | 'run'>): Promise<Details> {
  const structures = await findDmi(os);
  const [secureBoot, setupMode, accelerators, tpm, firmware, code, targets] = await Promise.all([
    efiFlag(os, 'SecureBoot'),
    efiFlag(os, 'SetupMode'),
    describeAccelerators(os, structures),
    describeTpm(os, structures),
    listFirmware(os, structures),
    microcode(os),
    readBootTargets(os),
  ]);
  return {
    boot: { secure_boot: secureBoot, setup_mode: setupMode },
    dimms: describeDimms(structures),
    accelerators,
    tpm,
    firmware,
    microcode: code,
    ...(targets.length > 0 && { iscsi_boot: targets }),
  };
}
