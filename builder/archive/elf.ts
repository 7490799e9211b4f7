/** Reads what little of an ELF file the builder wants to know; 64-bit, little-endian only. */

const SHT_NOBITS = 8;

/** Whether the bytes are a 64-bit little-endian ELF file. */
export function isElf64(view: DataView): boolean {
  return (
    view.byteLength >= 64 && view.getUint32(0) === 0x7f_45_4c_46 && view.getUint8(4) === 2 && view.getUint8(5) === 1
  );
}

/** What an ELF file of any kind says about the machine that it is for. */
export type ElfIdentity = { bits: 32 | 64; littleEndian: boolean; machine: number; flags: number };

/** Reads the first 52 bytes; undefined when they are no ELF file's. */
export function elfIdentity(bytes: Uint8Array): ElfIdentity | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < 52 || view.getUint32(0) !== 0x7f_45_4c_46) return undefined;
  const littleEndian = view.getUint8(5) === 1;
  const bits = view.getUint8(4) === 2 ? 64 : 32;
  return {
    bits,
    littleEndian,
    machine: view.getUint16(18, littleEndian),
    flags: view.getUint32(bits === 64 ? 48 : 36, littleEndian),
  };
}

/** e_machine, or undefined when the bytes are no 64-bit little-endian ELF file. */
export function elfMachine(bytes: Uint8Array): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isElf64(view) ? view.getUint16(18, true) : undefined;
}

/** The bytes of a section, by its name; undefined when there is none. */
export function elfSection(bytes: Uint8Array, name: string): Uint8Array | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isElf64(view)) return undefined;
  const table = Number(view.getBigUint64(40, true));
  const [size, count, namesIndex] = [view.getUint16(58, true), view.getUint16(60, true), view.getUint16(62, true)];
  const section = (index: number) => {
    const at = table + index * size;
    return {
      name: view.getUint32(at, true),
      type: view.getUint32(at + 4, true),
      offset: Number(view.getBigUint64(at + 24, true)),
      length: Number(view.getBigUint64(at + 32, true)),
    };
  };
  if (count === 0 || table + count * size > bytes.byteLength) return undefined;
  const names = section(namesIndex);
  for (let index = 0; index < count; index += 1) {
    const one = section(index);
    const start = names.offset + one.name;
    const end = bytes.indexOf(0, start);
    if (one.type === SHT_NOBITS || Buffer.from(bytes.subarray(start, end)).toString('latin1') !== name) continue;
    return bytes.subarray(one.offset, one.offset + one.length);
  }
  return undefined;
}

/** The `key=value` strings of a kernel module's `.modinfo`; a key may come several times. */
export function moduleInfo(bytes: Uint8Array): Map<string, string[]> {
  const info = new Map<string, string[]>();
  const section = elfSection(bytes, '.modinfo');
  for (const line of section === undefined ? [] : Buffer.from(section).toString('utf8').split('\0')) {
    const equals = line.indexOf('=');
    if (equals < 1) continue;
    const key = line.slice(0, equals);
    info.set(key, [...(info.get(key) ?? []), line.slice(equals + 1)]);
  }
  return info;
}

/** The loader that a program asks the kernel for; undefined for a library and for a static program. */
export function elfInterpreter(bytes: Uint8Array): string | undefined {
  const section = elfSection(bytes, '.interp');
  return section === undefined ? undefined : Buffer.from(section).toString('utf8').replace(/\0+$/, '');
}

const DT_NEEDED = 1n;
const DT_RPATH = 15n;
const DT_RUNPATH = 29n;

/** What a program or library asks the loader for: names of libraries, and folders to look in besides the usual ones. */
export function dynamicNeeds(bytes: Uint8Array): { libraries: string[]; folders: string[] } {
  const needs = { libraries: [] as string[], folders: [] as string[] };
  const dynamic = elfSection(bytes, '.dynamic');
  const strings = elfSection(bytes, '.dynstr');
  if (dynamic === undefined || strings === undefined) return needs;
  const view = new DataView(dynamic.buffer, dynamic.byteOffset, dynamic.byteLength);
  for (let at = 0; at + 16 <= dynamic.byteLength; at += 16) {
    const tag = view.getBigUint64(at, true);
    if (tag !== DT_NEEDED && tag !== DT_RPATH && tag !== DT_RUNPATH) continue;
    const start = Number(view.getBigUint64(at + 8, true));
    const text = Buffer.from(strings.subarray(start, strings.indexOf(0, start))).toString('utf8');
    if (tag === DT_NEEDED) needs.libraries.push(text);
    else needs.folders.push(...text.split(':'));
  }
  return needs;
}
