import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { makeConfig, PARAMETERS } from '../../../agent/config/config.ts';
import { parseKernelParameters } from '../../../agent/config/kernel-parameters.ts';
import { type ParameterSpec, readBoolean, readList } from '../../../agent/config/values.ts';
import { Failure } from '../../../system/failure.ts';

const SPECS: readonly ParameterSpec[] = Object.values(PARAMETERS);
const configOf = (cmdline: string) => makeConfig(parseKernelParameters(cmdline));

describe('the kernel command line', () => {
  test('is split at blanks and at the first equals sign; the last of several wins; quotes are characters', () => {
    const parameters = parseKernelParameters('ro quiet a=1 a=2 b=x=y =none c= sshkey="ssh-ed25519 AAA"\n');
    expect([...parameters]).toEqual([
      ['a', '2'],
      ['b', 'x=y'],
      ['c', ''],
      ['sshkey', '"ssh-ed25519'],
    ]);
  });

  test('gives back what was put in, whatever it is', () => {
    const word = fc.stringMatching(/^[!-<>-~]{1,20}$/);
    fc.assert(
      fc.property(fc.dictionary(word, fc.stringMatching(/^[!-~]{0,20}$/)), (pairs) => {
        const text = Object.entries(pairs).map(([key, value]) => `${key}=${value}`);
        expect(Object.fromEntries(parseKernelParameters(text.join('  ')))).toEqual({ ...pairs });
      }),
    );
  });

  test('that is garbage gives a configuration or a failure that names the parameter, never anything else', () => {
    const names = SPECS.flatMap(({ parameter }) => parameter ?? []);
    const text = fc.array(fc.tuple(fc.constantFrom(...names), fc.string({ unit: 'binary', maxLength: 12 })), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(text, (pairs) => {
        let failure: unknown;
        try {
          configOf(pairs.map(([name, value]) => `${name}=${value}`).join(' '));
        } catch (error) {
          failure = error;
        }
        const isGood = failure === undefined || failure instanceof Failure;
        expect(isGood).toBe(true);
        const message = failure instanceof Failure ? failure.message : 'cannot use kernel parameter x=: y is needed';
        expect(message).toMatch(/^cannot use kernel parameter \S+=.* is needed$/s);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the configuration', () => {
  test('has ironic-python-agent defaults', () => {
    expect(configOf('')).toMatchObject({
      apiUrls: [],
      listenPort: 9999,
      advertisePort: 9999,
      lookupTimeoutSeconds: 600,
      httpRequestTimeoutSeconds: 30,
      diskWaitAttempts: 10,
      imageDownloadConnectionRetries: 9,
      insecure: false,
      tlsMinVersion: '1.2',
      tlsCertificateCurve: 'p384',
      guardSpecialFilesystems: true,
    });
  });

  test('reads what Ironic and Metal3 put on the line', () => {
    const config = configOf(
      'nofb BOOTIF=01-52-54-00-11-22-33 ipa-insecure=1 ipa-debug=1 ipa-global-request-id= ipa-advertise-port=19999 ' +
        'ipa-api-url=https://172.22.0.2:6385/,https://[fd00::2]:6385 ipa-inspection-collectors=default,logs,,lldp',
    );
    expect(config).toMatchObject({
      bootInterface: '01-52-54-00-11-22-33',
      insecure: true,
      debug: true,
      globalRequestId: undefined,
      advertisePort: 19_999,
      apiUrls: ['https://172.22.0.2:6385', 'https://[fd00::2]:6385'],
      inspectionCollectors: ['default', 'logs', 'lldp'],
    });
  });

  test.each([
    ['ipa-listen-port=70000', 'ipa-listen-port=70000: a port number from 1 to 65535'],
    ['ipa-listen-port=9999x', 'ipa-listen-port=9999x: a port number'],
    ['ipa-api-url=ftp://x', 'ipa-api-url=ftp://x: a comma list of http:// or https:// URLs'],
    ['ipa-api-url=http://[fd00::1', 'ipa-api-url=http://[fd00::1: a comma list of http:// or https:// URLs'],
    ['ipa-http-request-timeout=0', 'ipa-http-request-timeout=0: a number of seconds from 1'],
    ['ipa-insecure=maybe', 'ipa-insecure=maybe: true or false'],
    ['ipa-tls-min-version=1.1', 'ipa-tls-min-version=1.1: 1.2 or 1.3'],
    ['ipa-lookup-timeout=-1', 'ipa-lookup-timeout=-1: a number of seconds'],
    ['ipa-disk-wait-attempts=1.5', 'ipa-disk-wait-attempts=1.5: a whole number'],
    ['ipa-ironic-api-version=2.1', 'ipa-ironic-api-version=2.1: a version such as 1.68'],
  ])('refuses %s by name', (cmdline, words) => {
    expect(() => configOf(cmdline)).toThrow(`cannot use kernel parameter ${words}`);
  });

  test('gives each parameter, option and field one row', () => {
    const names = SPECS.flatMap(({ parameter, group, option, lookup }) => [
      ...(parameter === undefined ? [] : [parameter]),
      ...(option === undefined ? [] : [`${group}/${option}`]),
      ...(lookup === undefined ? [] : [`lookup/${lookup}`]),
    ]);
    expect(new Set(names).size).toBe(names.length);
  });
});

test('booleans are the words of oslo.config, in any case', () => {
  expect(['TRUE', 'on', '1', 'Yes'].map(readBoolean)).toEqual([true, true, true, true]);
  expect(['False', 'OFF', '0', 'no'].map(readBoolean)).toEqual([false, false, false, false]);
  expect(['', '2', 'enabled'].map(readBoolean)).toEqual([undefined, undefined, undefined]);
});

test('lists keep their order and lose empty items', () => {
  expect(readList(' a, ,b,,c ')).toEqual(['a', 'b', 'c']);
});
