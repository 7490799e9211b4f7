import { expect, test } from 'vitest';

import { readSettings } from '../../../agent/erase/settings.ts';

const read = (info: Record<string, unknown>, args: Record<string, unknown> = {}) =>
  readSettings({ uuid: 'u', driver_internal_info: info }, args).settings;

test('settings are read as Ironic and people write them', () => {
  expect(read({ agent_erase_devices_iterations: ' 3 ', disk_erasure_concurrency: '8' })).toMatchObject({
    agent_erase_devices_iterations: 3,
    disk_erasure_concurrency: 8,
  });
  expect(read({ agent_erase_devices_iterations: null })).toMatchObject({ agent_erase_devices_iterations: 1 });
  expect(read({}, { verify_percent: '12.5' })).toMatchObject({ verify_share: 0.125 });
});

// To JavaScript an empty text is 0, which here would be "no pass of the pattern".
test.each(['', ' ', '-1', '1e3', '0x2', 'three', true, [], [2], {}, Number.NaN, -1, 101])(
  'a number of passes that is %j is an error, and nothing is erased by it',
  (value) => {
    expect(() => read({ agent_erase_devices_iterations: value })).toThrow('agent_erase_devices_iterations is');
  },
);
