/** A 64-bit little-endian ELF file with nothing but these sections. */
export function elfFile(sections: Record<string, string | Uint8Array>, machine = 62, flags = 0): Buffer {
  const names = ['', ...Object.keys(sections), '.shstrtab'];
  const strings = Buffer.from(names.map((name) => `${name}\0`).join(''));
  const bodies = [Buffer.alloc(0), ...Object.values(sections).map((body) => Buffer.from(body)), strings];
  const headers = bodies.map(() => Buffer.alloc(64));
  let offset = 64;
  let nameAt = 0;
  for (const [index, body] of bodies.entries()) {
    const header = headers[index] as Buffer;
    header.writeUInt32LE(nameAt, 0);
    header.writeUInt32LE(index === 0 ? 0 : 1, 4);
    header.writeBigUInt64LE(BigInt(offset), 24);
    header.writeBigUInt64LE(BigInt(body.length), 32);
    offset += body.length;
    nameAt += (names[index] ?? '').length + 1;
  }
  const file = Buffer.alloc(64);
  file.writeUInt32BE(0x7f_45_4c_46, 0);
  file.set([2, 1, 1], 4);
  file.writeUInt16LE(machine, 18);
  file.writeUInt32LE(flags, 48);
  file.writeBigUInt64LE(BigInt(offset), 40);
  file.writeUInt16LE(64, 58);
  file.writeUInt16LE(bodies.length, 60);
  file.writeUInt16LE(bodies.length - 1, 62);
  return Buffer.concat([file, ...bodies, ...headers]);
}
