/** One SMBIOS structure. @param fixed what follows its four bytes of header */
export function structure(type: number, handle: number, fixed: Uint8Array, texts: readonly string[]): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt8(type, 0);
  header.writeUInt8(4 + fixed.length, 1);
  header.writeUInt16LE(handle, 2);
  const strings = texts.length === 0 ? '\0\0' : `${texts.join('\0')}\0\0`;
  return Buffer.concat([header, fixed, Buffer.from(strings)]);
}

/** The structure that ends a table. */
export const END = structure(127, 0xff_ff, new Uint8Array(), []);
