import { describe, expect, test } from 'vitest';

import { findArchitecture } from '../../arch/table.ts';
import { withLibraries } from '../../builder/node-folder.ts';

const row = findArchitecture('loongarch64') ?? expect.fail('no loongarch64');
const FOLDERS = '/lib/loongarch64-linux-gnu/\0/usr/lib/loongarch64-linux-gnu/\0/lib/\0/usr/lib/\0';
const loader = Buffer.from(`ELF\0/etc/ld.so.cache\0glibc\0${FOLDERS}end`, 'latin1');

describe('a loader for a folder of its own', () => {
  const patched = Buffer.from(withLibraries(loader, '/opt/ingot/lib', row)).toString('latin1');

  test('looks there instead of into Debian’s folder, and into no cache of the base', () => {
    expect(patched).toContain(`\0/opt/ingot/lib/${'/'.repeat(16)}\0/lib/\0`);
    expect(patched).toContain('\0/opt/ingot/lib/-\0glibc');
    expect(patched).not.toContain('ld.so.cache');
  });

  test('has as many bytes as before, so that nothing in it moves', () => {
    expect(patched).toHaveLength(loader.length);
    expect(patched.endsWith('end')).toBe(true);
  });

  test('one of another distribution is refused rather than left to find the wrong libraries', () => {
    expect(() => withLibraries(Buffer.from('ELF\0/usr/lib64/\0'), '/opt/ingot/lib', row)).toThrow(RangeError);
  });
});
