import { existsSync } from 'node:fs';

import { expect, test } from 'vitest';

import { SLOW_FILES } from './slow-files.ts';

test('files that take long are named as they are', () => {
  expect(Object.keys(SLOW_FILES).filter((file) => !existsSync(file))).toEqual([]);
});
