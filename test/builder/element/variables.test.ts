import { describe, expect, test } from 'vitest';

import type { Element } from '../../../builder/element/element.ts';
import { fillIn, isSet, misspelt, settleVariables } from '../../../builder/element/variables.ts';
import { hashPassword } from '../../../builder/password.ts';
import { systemRun } from '../../../system/run.ts';

const description = 'd';
const element: Element = {
  name: 'e',
  summary: 's',
  env: {
    NAME: { type: 'string', default: 'me', pattern: '[a-z]+', description },
    ROOT: { type: 'bool', default: 'no', description },
    SECONDS: { type: 'int', default: '30', description },
    GROUPS: { type: 'list', description },
    KEYS: { type: 'path', description },
    PASSWORD: { type: 'password', description },
    TOKEN: { type: 'string', pattern: '[0-9]+', secret: true, description },
  },
  users: [{ name: '{{NAME}}', id: 1000, password: '{{PASSWORD}}', groups: ['disk', '{{GROUPS}}'] }],
  texts: {
    'home/{{NAME}}/keys': { text: '{{KEYS}}', owner: '{{NAME}}', when: 'KEYS' },
    'etc/root': { text: 'as {{NAME}} in {{GROUPS}}\n', when: 'ROOT' },
    'etc/time': { text: '{{SECONDS}}' },
  },
};
const makers = {
  readFile: (path: string) => (path === '/keys' ? Promise.resolve('ssh-rsa A') : Promise.reject(new Error('ENOENT'))),
  hash: (password: string, salt: string) => Promise.resolve(`hash of ${password} for ${salt}`),
};
const settle = (given: Record<string, string>) => settleVariables([element], given, makers);
const filled = async (given: Record<string, string>) => fillIn(element, await settle(given));

describe('the variables of an element', () => {
  test('have their defaults, and what is not set makes no file', async () => {
    expect(await filled({})).toMatchObject({
      users: [{ name: 'me', password: '', groups: ['disk'] }],
      texts: { 'etc/time': { text: '30' } },
    });
    expect(Object.keys((await filled({})).texts ?? {})).toEqual(['etc/time']);
  });

  test('stand where their names stand', async () => {
    const given = { NAME: 'you', ROOT: 'YES', GROUPS: 'a, b', KEYS: '/keys', PASSWORD: 'x' };
    expect(await filled(given)).toMatchObject({
      users: [{ name: 'you', password: 'hash of x for e/PASSWORD', groups: ['disk', 'a', 'b'] }],
      texts: {
        'home/you/keys': { text: 'ssh-rsa A', owner: 'you' },
        'etc/root': { text: 'as you in a b\n' },
      },
    });
  });

  test('an empty one is one that is not set', async () => {
    expect((await filled({ NAME: '' })).users?.[0]?.name).toBe('me');
  });

  test('a hash is taken for what it is', async () => {
    const hash = '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7';
    expect((await filled({ PASSWORD: hash })).users?.[0]?.password).toBe(hash);
  });

  test.each([['no'], ['No'], ['0'], ['false']])('%s is no', async (value) => {
    expect(isSet((await settle({ ROOT: value })).get('ROOT')?.value)).toBe(false);
  });

  test.each([
    [{ ROOT: 'perhaps' }, 'cannot use the variable ROOT=perhaps: it is neither yes nor no'],
    [{ SECONDS: 'soon' }, 'SECONDS=soon: it is no whole number'],
    [{ NAME: 'You' }, 'NAME=You: it has to match [a-z]+'],
    [{ KEYS: '/nothing' }, 'KEYS=/nothing: it cannot be read: ENOENT'],
  ])('%j is refused', async (given, why) => {
    await expect(settle(given)).rejects.toMatchObject({
      code: 'VARIABLE_INVALID',
      exitCode: 2,
      message: expect.stringContaining(why) as string,
    });
  });

  test('a secret that is refused is not said', async () => {
    await expect(settle({ TOKEN: 'hunter' })).rejects.toThrow(/^cannot use the variable TOKEN: it has to match/);
  });

  test('a place of one that there is not is refused', async () => {
    const settings = await settle({});
    expect(() => fillIn({ name: 'x', summary: 's', links: { a: '{{NOSUCH}}' } }, settings)).toThrow(
      'NOSUCH: x uses it, and no element declares it',
    );
  });

  test('one that is misspelt is said, and those of others are left alone', () => {
    expect(misspelt({ DIB_NAM: 'x', DIB_OTHER_THING: 'x', HOME: '/', DIB_NAME: 'y' }, ['DIB_NAME'])).toEqual([
      'the variable DIB_NAM is of no element that goes in; did you mean DIB_NAME?',
    ]);
  });
});

describe('the hash of a password', () => {
  const { signal } = new AbortController();
  const hash = (password: string, purpose = 'p') => hashPassword({ run: systemRun }, password, purpose, signal);

  test('is the same every time, and another for another password or purpose', async () => {
    const [first, again, other, elsewhere] = await Promise.all([hash('a'), hash('a'), hash('b'), hash('a', 'q')]);
    expect(first).toBe(again);
    expect(first).toMatch(/^\$6\$[./0-9A-Za-z]{16}\$[./0-9A-Za-z]{86}$/);
    const salts = [first, other, elsewhere].map((one) => one.split('$')[2]);
    expect(new Set(salts).size).toBe(3);
  });

  test('is what crypt(3) makes of that salt', async () => {
    const [, , salt = ''] = (await hash('pass word')).split('$');
    const { stdout } = await systemRun('busybox', ['mkpasswd', '-m', 'sha512', 'pass word', salt]);
    expect(await hash('pass word')).toBe(stdout.trim());
  });

  test('a password is one line', async () => {
    await expect(hash('a\nb')).rejects.toThrow('a password is one line');
  });
});
