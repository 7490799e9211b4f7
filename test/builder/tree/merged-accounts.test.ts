import { expect, test } from 'vitest';

import { mergeAccounts } from '../../../builder/tree/accounts.ts';

const SYSTEM = 'root:x:0:0:root:/root:/bin/bash\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n';

test('who is in the system stays as there, and elements add whom it has not', () => {
  expect(
    mergeAccounts('etc/passwd', SYSTEM, 'root:x:0:0::/root:/bin/sh\ndevuser:x:1000:1000::/home/devuser:/bin/sh\n'),
  ).toBe(`${SYSTEM}devuser:x:1000:1000::/home/devuser:/bin/sh\n`);
});

test('a number is that of one account only', () => {
  expect(() => mergeAccounts('etc/passwd', SYSTEM, 'agent:x:101:101::/:/bin/false\n')).toThrow(
    '/etc/passwd: number 101 is that of sshd and of agent',
  );
});

test('a password that an element sets counts, and none takes one away', () => {
  const system = 'root:$y$old:20000:0:99999:7:::\nuser:!:1::::::\n';
  expect(mergeAccounts('etc/shadow', system, 'root:*:::::::\nuser:$y$new:::::::\n')).toBe(
    'root:$y$old:20000:0:99999:7:::\nuser:$y$new:::::::\n',
  );
});
