import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { addPeSections, peImageSize, peMachine } from '../../../builder/archive/pe.ts';

const TABLE = 64 + 24 + 240;

/** The smallest EFI program that is worth the name: headers, and one section with code. */
function program(headersSize = 0x4_00): Buffer {
  const bytes = Buffer.alloc(headersSize + 0x2_00, 0xcc);
  bytes.fill(0, 0, TABLE + 40);
  bytes.write('MZ', 0);
  bytes.writeUInt32LE(64, 0x3c);
  bytes.write('PE\0\0', 64);
  bytes.writeUInt16LE(0x86_64, 68);
  bytes.writeUInt16LE(1, 70);
  bytes.writeUInt16LE(240, 84);
  bytes.writeUInt16LE(0x2_0b, 88);
  bytes.writeUInt32LE(0x10_00, 88 + 32);
  bytes.writeUInt32LE(0x2_00, 88 + 36);
  bytes.writeUInt32LE(0x20_00, 88 + 56);
  bytes.writeUInt32LE(headersSize, 88 + 60);
  bytes.write('.text', TABLE);
  return bytes;
}

/** Rows of the table of sections, as firmware and systemd's stub read them. */
function sectionsOf(head: Uint8Array) {
  const bytes = Buffer.from(head);
  return Array.from({ length: bytes.readUInt16LE(70) }, (_, index) => {
    const at = TABLE + 40 * index;
    const number = (offset: number) => bytes.readUInt32LE(at + offset);
    const name = bytes.toString('latin1', at, at + 8).replace(/\0+$/, '');
    return { name, memory: number(8), address: number(12), size: number(16), offset: number(20), flags: number(36) };
  });
}

describe('sections of an EFI program', () => {
  test('are added behind those that it has', () => {
    const layout = addPeSections(program(), [
      { name: '.cmdline', size: 5 },
      { name: '.linux', size: 0x2_01, memory: 0x30_00 },
    ]);
    expect(sectionsOf(layout.head).slice(1)).toEqual([
      { name: '.cmdline', memory: 5, address: 0x20_00, size: 0x2_00, offset: 0x6_00, flags: 0x40_00_00_40 },
      { name: '.linux', memory: 0x30_00, address: 0x30_00, size: 0x4_00, offset: 0x8_00, flags: 0x40_00_00_40 },
    ]);
    expect(layout.offsets).toEqual([0x6_00, 0x8_00]);
    expect(layout.size).toBe(0xc_00);
    expect(peImageSize(layout.head)).toBe(0x60_00);
    expect(peMachine(layout.head)).toBe(0x86_64);
    expect(Buffer.from(layout.head.subarray(0x4_00)).equals(program().subarray(0x4_00))).toBe(true);
  });

  test('never overlap, in the file or in memory, and lie where the alignment says', () => {
    const section = fc.record({ size: fc.integer({ min: 0, max: 1e9 }), memory: fc.integer({ min: 0, max: 1e9 }) });
    fc.assert(
      fc.property(fc.array(section, { maxLength: 4 }), (rows) => {
        const layout = addPeSections(
          program(),
          rows.map((row, index) => ({ name: `.s${index}`, ...row })),
        );
        let [offset, address] = [0x6_00, 0x20_00];
        for (const [index, one] of sectionsOf(layout.head).slice(1).entries()) {
          expect(one.offset % 0x2_00).toBe(0);
          expect(one.address % 0x10_00).toBe(0);
          expect(one.offset).toBe(offset);
          expect(one.address).toBeGreaterThanOrEqual(address);
          expect(one.size).toBeGreaterThanOrEqual(rows[index]?.size ?? 0);
          expect(one.memory).toBeGreaterThanOrEqual(Math.max(rows[index]?.size ?? 0, rows[index]?.memory ?? 0));
          offset = one.offset + one.size;
          address = one.address + one.memory;
        }
        expect(layout.size).toBe(offset);
        expect(peImageSize(layout.head)).toBeGreaterThanOrEqual(address);
      }),
    );
  });

  test('are refused where there is no room for their headers', () => {
    const many = Array.from({ length: 20 }, (_, index) => ({ name: `.s${index}`, size: 1 }));
    expect(() => addPeSections(program(), many)).toThrow(/has room for headers up to 1024/);
  });

  test.each([
    [Buffer.from('MZ'), 'does not start with MZ'],
    [Buffer.alloc(100), 'does not start with MZ'],
    [program().fill(0, 64, 68), 'has no PE header'],
    [program().fill(0xff, 0x3c, 0x40), 'has no PE header'],
    [program().subarray(0, 300), 'ends too early'],
    [program().fill(0x0b, 88, 90), 'is not 64-bit'],
  ])('are not added to what is none: %#', (bytes, why) => {
    expect(() => addPeSections(bytes, [])).toThrow(`this is no EFI program: it ${why}`);
  });
});
