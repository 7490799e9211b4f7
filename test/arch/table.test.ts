import { describe, expect, test } from 'vitest';

import { ARCHITECTURE_NAMES, findArchitecture, hostArchitecture } from '../../arch/table.ts';

describe('architectures', () => {
  test('are found by their names and aliases in any case', () => {
    for (const name of ['x86_64', 'amd64', 'X64', 'X86_64']) expect(findArchitecture(name)?.name).toBe('x86_64');
    for (const name of ['aarch64', 'ARM64']) expect(findArchitecture(name)?.name).toBe('aarch64');
    for (const name of ['loongarch64', 'loong64']) expect(findArchitecture(name)?.name).toBe('loongarch64');
    expect(findArchitecture('vax')).toBeUndefined();
  });

  test('have names that no other has', () => {
    const rows = ARCHITECTURE_NAMES.flatMap((name) => findArchitecture(name) ?? []);
    const names = rows.flatMap((row) => [row.name, ...row.aliases]);
    expect(new Set(names).size).toBe(names.length);
    expect(rows.map((row) => row.name)).toEqual(ARCHITECTURE_NAMES);
  });

  test('share neither ELF machine, PE machine, EFI file, DHCP value nor any name of Debian, Node and OCI', () => {
    const rows = ARCHITECTURE_NAMES.flatMap((name) => findArchitecture(name) ?? []);
    const unique = (values: readonly unknown[]) => expect(new Set(values).size).toBe(values.length);
    unique(rows.map((row) => row.elf.machine));
    unique(rows.map((row) => row.boot.peMachine));
    unique(rows.flatMap((row) => row.boot.efiFiles));
    unique(rows.flatMap((row) => [...row.boot.dhcp.pxe, ...row.boot.dhcp.http]));
    for (const key of ['debian', 'rpm', 'oci', 'node', 'linux', 'multiarch', 'loader'] as const)
      unique(rows.map((row) => row[key]));
    for (const row of rows) expect(row.elf.flags.value & ~row.elf.flags.mask).toBe(0);
  });

  test('the row of this machine is found by what Node calls it', () => {
    expect(hostArchitecture('x64')?.debian).toBe('amd64');
    expect(hostArchitecture('mips')).toBeUndefined();
  });
});
