import { expect, test } from 'vitest';

import { checkSize } from '../../builder/budget.ts';
import { fileEntry, mergeParts } from '../../builder/tree/tree.ts';

const entries = Array.from({ length: 30 }, (_, index) => fileEntry(`file${index}`, 'x'.repeat(1000 + index)));
const tree = mergeParts(
  [{ owner: { element: 'big', source: 'files', layer: 'userland' }, entries, overrides: false }],
  () => false,
);
const layers = [{ bytes: 400 }, { bytes: 500 }];

test('a ramdisk within its size passes, and so does one without a limit', () => {
  expect(() => checkSize(1000, 100, layers, tree)).not.toThrow();
  expect(() => checkSize(undefined, 1e12, layers, tree)).not.toThrow();
});

test('one byte too many is an error that names the twenty largest files', () => {
  expect(() => checkSize(999, 100, layers, tree)).toThrow(
    /^cannot keep to --max-size: kernel and initramfs have 1\.0 kB, 0\.0 kB more[^]*\/file29 \(big: files\)([^]*\n){19}[^\n]*\/file10 \(big: files\)$/,
  );
});
