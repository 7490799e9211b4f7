import type { Details } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';
import { meaning, type SmbiosStructure } from './smbios.ts';

const TPM_DEVICE = 43;
const FOLDER = '/sys/class/tpm';
const VERSIONS: Readonly<Record<string, string>> = { 1: '1.2', 2: '2.0' };

type Tpm = NonNullable<Details['tpm']>;

/** Four ASCII letters of a maker (TCG vendor ids), as they stand in memory. */
function letters(bytes: Uint8Array): string | null {
  return meaning(
    Buffer.from(bytes)
      .toString('latin1')
      .replaceAll(/[^\x20-\x7e]/g, ''),
  );
}

/** What the firmware says of the chip (SMBIOS 3.1, 7.44). */
function fromFirmware({ bytes }: SmbiosStructure): Omit<Tpm, 'device'> | undefined {
  if (bytes.length < 0x1f) return undefined;
  const major = bytes.readUInt8(0x08);
  // 1.2 keeps its version in bytes, 2.0 in half words.
  const word = bytes.readUInt32LE(0x0a);
  const firmware = major === 1 ? `${bytes[0x0c]}.${bytes[0x0d]}` : `${word >>> 16}.${word & 0xff_ff}`;
  return { version: `${major}.${bytes.readUInt8(0x09)}`, manufacturer: letters(bytes.subarray(0x04, 0x08)), firmware };
}

/** `Manufacturer: 0x49465800` of a TPM 1.2, in sysfs. */
function makerOf(caps: string): string | null {
  const digits = /^Manufacturer: 0x([0-9a-f]{8})$/im.exec(caps)?.[1];
  return digits === undefined ? null : letters(Buffer.from(digits, 'hex'));
}

/**
 * The TPM: version as the kernel drives it, maker and firmware as DMI tells (the kernel does not show a TPM 2.0's).
 * @returns null where there is none
 */
export async function describeTpm(
  os: Pick<AgentOs, 'files'>,
  structures: readonly SmbiosStructure[],
): Promise<Details['tpm']> {
  const [device] = (await os.files.list(FOLDER)).filter((name) => /^tpm\d+$/.test(name)).toSorted();
  const dmi = structures.filter(({ type }) => type === TPM_DEVICE).map(fromFirmware)[0];
  if (device === undefined && dmi === undefined) return null;
  const read = async (name: string) => (await os.files.read(`${FOLDER}/${device}/${name}`)) ?? '';
  const [major, caps] = await Promise.all([read('tpm_version_major'), read('device/caps')]);
  return {
    device: device ?? null,
    version: VERSIONS[major.trim()] ?? dmi?.version ?? null,
    manufacturer: dmi?.manufacturer ?? makerOf(caps),
    firmware: dmi?.firmware ?? null,
  };
}
