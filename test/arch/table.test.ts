import { describe, expect, test } from 'vitest';

import { ARCHITECTURE_NAMES, findArchitecture, hostArchitecture } from '../../arch/table.ts';

describe('architectures', () => {
  test('are found by their names and aliases in any case', () => {
    for (const name of ['x86_64', 'amd64', 'X64', 'X86_64']) expect(findArchitecture(name)?.name).toBe('x86_64');
    expect(findArchitecture('vax')).toBeUndefined();
  });

  test('have names that no other has', () => {
    const rows = ARCHITECTURE_NAMES.flatMap((name) => findArchitecture(name) ?? []);
    const names = rows.flatMap((row) => [row.name, ...row.aliases]);
    expect(new Set(names).size).toBe(names.length);
    expect(rows.map((row) => row.name)).toEqual(ARCHITECTURE_NAMES);
  });

  test('the row of this machine is found by what Node calls it', () => {
    expect(hostArchitecture('x64')?.debian).toBe('amd64');
    expect(hostArchitecture('mips')).toBeUndefined();
  });
});
