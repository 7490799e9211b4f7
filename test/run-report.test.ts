import { expect, test } from 'vitest';

import { failuresOf } from './run-report.ts';

const REPORT = {
  numPassedTests: 1,
  numFailedTests: 1,
  numPendingTests: 0,
  testResults: [
    {
      name: '/somewhere/test/a.test.ts',
      status: 'failed',
      assertionResults: [
        { fullName: 'disks are found', status: 'passed', failureMessages: [] },
        {
          fullName: 'disks are erased',
          status: 'failed',
          failureMessages: ['AssertionError: expected 1 to be 2\n    at /somewhere/test/a.test.ts:3:4'],
        },
      ],
    },
    { name: '/somewhere/test/b.test.ts', status: 'failed', message: 'Error: no mirror\nmore', assertionResults: [] },
    { name: '/somewhere/test/c.test.ts', status: 'passed', message: '', assertionResults: [] },
  ],
};

test('each failure is said in a line, and a file that never came to its tests, too', () => {
  expect(failuresOf(REPORT, '/somewhere')).toEqual([
    'test/a.test.ts > disks are erased: AssertionError: expected 1 to be 2',
    'test/b.test.ts: Error: no mirror',
  ]);
});
