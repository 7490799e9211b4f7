import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Value } from 'typebox/value';

import { DetailsSchema } from '../../../agent/api/inventory.ts';
import { collectDetails } from '../../../agent/hardware/details.ts';
import { decodeDmi } from '../../../agent/hardware/dmi-decode.ts';
import { installedMemoryMib, processorsOf } from '../../../agent/hardware/dmi.ts';
import { meaning, readSmbios, textAt } from '../../../agent/hardware/smbios.ts';
import { fakeOs, memoryFiles } from '../../fakes/agent-os.ts';
import { readDmidecode } from '../../fakes/dmidecode.ts';
import { fixture, machineOs } from '../../fakes/machine.ts';
import { END, structure } from '../../fakes/smbios.ts';

const TABLE = '/sys/firmware/dmi/tables/DMI';
const MACHINES = [
  'qemu-q35-numa',
  'qemu-virt-aarch64',
  'qemu-virt-loongarch64',
  'rack-server-gpus',
  'arm-server',
  'loongson-3c5000',
];

async function tableOf(machine: string): Promise<Uint8Array> {
  return (await machineOs(machine).files.readBytes(TABLE)) ?? new Uint8Array();
}

/** Structures of the kinds that are read, with any content that fits into them, of any length. */
const anyStructure = fc
  .tuple(
    fc.constantFrom(0, 4, 9, 16, 17, 43, 45, 127, 200),
    fc.uint8Array({ maxLength: 96 }),
    fc.array(fc.string({ maxLength: 12 }), { maxLength: 5 }),
  )
  .map(([type, fixed, texts]) =>
    structure(type, 0, fixed, texts.map((text) => text.replaceAll('\0', '')).filter(Boolean)),
  );
const anyTable = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  fc.array(anyStructure, { maxLength: 8 }).map((parts) => Buffer.concat([...parts, END])),
);

describe('the table of the firmware', () => {
  test('is read structure by structure, with texts by number', () => {
    const table = Buffer.concat([
      structure(17, 0x1100, Buffer.from([0, 16, 1, 2, 3]), ['DIMM A1', 'Bank ü']),
      structure(16, 7, Buffer.from([0]), []),
      END,
      structure(4, 9, Buffer.alloc(40), []),
    ]);
    const [device, array, ...more] = readSmbios(table);
    expect(device).toMatchObject({ type: 17, handle: 0x1100, texts: ['DIMM A1', 'Bank ..'] });
    expect(array).toMatchObject({ type: 16, handle: 7, texts: [] });
    expect(more).toEqual([]);
    expect([6, 7, 8, 4, 400].map((at) => device && textAt(device, at))).toEqual([
      'DIMM A1',
      'Bank ..',
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('gives what is whole of it when it is cut', () => {
    const whole = Buffer.concat([structure(17, 1, Buffer.alloc(30), ['A']), structure(17, 2, Buffer.alloc(30), ['B'])]);
    fc.assert(
      fc.property(fc.nat(whole.length), (length) => {
        const handles = readSmbios(whole.subarray(0, length)).map(({ handle }) => handle);
        expect(handles).toEqual([1, 2].slice(0, Math.floor(length / (whole.length / 2))));
      }),
    );
  });

  test('may hold anything: what is read of it has the types of the contract', async () => {
    await fc.assert(
      fc.asyncProperty(anyTable, async (table) => {
        const structures = readSmbios(table);
        expect(installedMemoryMib(structures)).toBeGreaterThanOrEqual(0);
        expect(processorsOf(structures).sockets).toBeLessThanOrEqual(structures.length);
        expect(JSON.parse(JSON.stringify(decodeDmi(structures)))).toEqual(decodeDmi(structures));
        const files = { ...memoryFiles(), readBytes: async (path: string) => (path === TABLE ? table : undefined) };
        expect(Value.Check(DetailsSchema, await collectDetails(fakeOs({ files })))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test.each(['', '  ', 'Unknown', 'To Be Filled By O.E.M.', 'Not Specified', 'NO DIMM', '0000', 'Default string'])(
    'says nothing with %j',
    (text) => expect(meaning(text)).toBeNull(),
  );
});

describe('the collector dmi-decode', () => {
  test.each(MACHINES)('has for %s what ironic-python-agent makes of dmidecode’s output', async (machine) => {
    const wanted = readDmidecode(fixture(machine, 'dmidecode.txt'));
    expect(wanted.cpu.length).toBeGreaterThan(0);
    expect(decodeDmi(readSmbios(await tableOf(machine)))).toEqual(wanted);
  });

  test('sums the slots of all arrays and keeps the first, as ironic-python-agent does', () => {
    const array = (handle: number, slots: number) => {
      const fixed = Buffer.alloc(0x0f - 4);
      fixed.set([3, 3, 6, 0, 0, 0, 6, 0xfe, 0xff, slots, 0]);
      return structure(16, handle, fixed, []);
    };
    expect(decodeDmi(readSmbios(Buffer.concat([array(1, 12), array(2, 4), END]))).memory).toEqual({
      Location: 'System Board Or Motherboard',
      Use: 'System Memory',
      'Error Correction Type': 'Multi-bit ECC',
      'Maximum Capacity': '96 GB',
      'Error Information Handle': 'Not Provided',
      'Number Of Devices': 16,
      devices: [],
    });
  });
});
