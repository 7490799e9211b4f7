import { expect, test } from 'vitest';

import { checkHookBase } from '../../../builder/dib/root.ts';

test('hooks on a base of RPM packages are refused by name, until such a tree can be made', () => {
  expect(() => checkHookBase('rpm', 'openEuler 22.03-LTS')).toThrow(
    'cannot make the tree that hooks run in: elements with hooks run on Debian bases only so far, not on openEuler 22.03-LTS',
  );
  expect(() => checkHookBase('debian', 'Debian 13 (trixie)')).not.toThrow();
});
