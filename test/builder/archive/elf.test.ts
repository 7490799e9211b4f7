import { readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import {
  dynamicNeeds,
  elfIdentity,
  elfInterpreter,
  elfMachine,
  elfSection,
  moduleInfo,
} from '../../../builder/archive/elf.ts';
import { hostArchitecture } from '../../../arch/table.ts';
import { elfFile } from '../../fakes/elf.ts';

describe('ELF files', () => {
  test('the Node that runs this says what it is and what it needs', () => {
    const node = readFileSync(process.execPath);
    expect(elfMachine(node)).toBe(hostArchitecture()?.elf.machine);
    expect(elfInterpreter(node)).toBe(hostArchitecture()?.loader);
    expect(dynamicNeeds(node).libraries).toEqual(expect.arrayContaining(['libc.so.6', 'libstdc++.so.6']));
  });

  test('a module says its dependencies, and each firmware file by itself', () => {
    const bytes = elfFile({ '.modinfo': 'license=GPL\0firmware=a.bin\0firmware=b.bin\0depends=x,y\0name=z\0' });
    expect(moduleInfo(bytes)).toEqual(
      new Map([
        ['license', ['GPL']],
        ['firmware', ['a.bin', 'b.bin']],
        ['depends', ['x,y']],
        ['name', ['z']],
      ]),
    );
  });

  test('of 32 bits or with the other byte order are ELF files, too', () => {
    const big = Buffer.alloc(52);
    big.writeUInt32BE(0x7f_45_4c_46, 0);
    big.set([1, 2, 1], 4);
    big.writeUInt16BE(8, 18);
    big.writeUInt32BE(0x70_00_10_07, 36);
    expect(elfIdentity(big)).toEqual({ bits: 32, littleEndian: false, machine: 8, flags: 0x70_00_10_07 });
    expect(elfIdentity(elfFile({}, 258, 0x43))).toEqual({ bits: 64, littleEndian: true, machine: 258, flags: 0x43 });
    expect(elfIdentity(Buffer.from('#!/bin/sh\n'.repeat(9)))).toBeUndefined();
  });

  test('sections are found by their whole name', () => {
    const bytes = elfFile({ '.modinfo2': 'no', '.modinfo': 'yes' });
    expect(Buffer.from(elfSection(bytes, '.modinfo') ?? []).toString()).toBe('yes');
    expect(elfSection(bytes, '.mod')).toBeUndefined();
  });

  test('anything else is no ELF file', () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('#!/bin/sh\n'), Buffer.alloc(200, 0x7f)]) {
      expect(elfMachine(bytes)).toBeUndefined();
      expect(elfSection(bytes, '.modinfo')).toBeUndefined();
    }
  });
});
