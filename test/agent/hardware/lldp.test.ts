import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseLldpFrame, type Tlv, vlansOf } from '../../../agent/hardware/lldp.ts';

const HEADER = '0180c200000e02005e00530188cc';
/** What a switch sends: its MAC, the port's name, how long it holds, its name, VLANs 10 and 20, padded to 60 bytes. */
const SWITCH_PORT =
  HEADER +
  '02070402005e005301' +
  '040705457468312f31' +
  '06020078' +
  '0a0474 6f7231' +
  'fe0a0080c203000a03763130' +
  'fe0a0080c203001403763230' +
  '0000';

const frame = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

/** A frame of these statements, as IEEE 802.1AB 8.4 puts them. */
function encode(tlvs: readonly Tlv[]): Buffer {
  const parts = tlvs.map(([type, value]) => {
    const bytes = Buffer.from(value, 'hex');
    const header = Buffer.alloc(2);
    header.writeUInt16BE((type << 9) | bytes.length);
    return Buffer.concat([header, bytes]);
  });
  return Buffer.concat([frame(HEADER), ...parts]);
}

const someTlvs = fc.array(
  fc.tuple(
    fc.integer({ min: 1, max: 127 }),
    fc.uint8Array({ maxLength: 511 }).map((bytes) => Buffer.from(bytes).toString('hex')),
  ),
  { maxLength: 12 },
);

describe('an LLDP frame', () => {
  test("is taken apart into what Ironic's hooks read, up to its end mark", () => {
    const padded = Buffer.concat([frame(SWITCH_PORT), Buffer.alloc(20)]);
    expect(parseLldpFrame(padded)).toEqual([
      [1, '0402005e005301'],
      [2, '05457468312f31'],
      [3, '0078'],
      [5, '746f7231'],
      [127, '0080c203000a03763130'],
      [127, '0080c203001403763230'],
      [0, ''],
    ]);
  });

  test('that is cut off loses its last statement, and no more', () => {
    const cut = frame(SWITCH_PORT).subarray(0, -5);
    expect(parseLldpFrame(cut).map(([type]) => type)).toEqual([1, 2, 3, 5, 127]);
  });

  test('of another protocol says nothing', () => {
    expect(parseLldpFrame(frame('ffffffffffff02005e00530108060001080006040001'))).toEqual([]);
    expect(parseLldpFrame(new Uint8Array())).toEqual([]);
    expect(parseLldpFrame(frame(HEADER))).toEqual([]);
  });

  test('of any statements is read as it was made, whatever fills it up', () => {
    fc.assert(
      fc.property(someTlvs, fc.uint8Array({ maxLength: 60 }), (tlvs, padding) => {
        const whole: Tlv[] = [...tlvs, [0, '']];
        expect(parseLldpFrame(Buffer.concat([encode(whole), padding]))).toEqual(whole);
      }),
    );
  });

  test('of any bytes is read without an error, and never says more than it holds', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1600 }), (bytes) => {
        const noise = Buffer.concat([frame(HEADER), bytes]);
        const length = parseLldpFrame(noise).reduce((sum, [, value]) => sum + 2 + value.length / 2, 0);
        expect(length).toBeLessThanOrEqual(bytes.length);
        parseLldpFrame(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the VLANs that a switch names', () => {
  test('are each there once', () => {
    const tlvs = parseLldpFrame(frame(SWITCH_PORT));
    expect(vlansOf([...tlvs, ...tlvs])).toEqual([10, 20]);
  });

  test('are between 1 and 4094, whatever the frame says', () => {
    fc.assert(
      fc.property(someTlvs, (tlvs) => {
        const named = tlvs.map(([, value]): Tlv => [127, `0080c203${value}`]);
        for (const vlan of vlansOf(named)) expect(vlan >= 1 && vlan <= 4094 && Number.isInteger(vlan)).toBe(true);
      }),
    );
    expect(
      vlansOf([
        [127, '0080c2030000'],
        [127, '0080c2030fff'],
        [127, '0080c203'],
        [127, '00120f01000a'],
        [8, '0080c203000a'],
      ]),
    ).toEqual([]);
  });
});
