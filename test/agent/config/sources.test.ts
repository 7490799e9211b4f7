import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { KERNEL_LINE, loadConfig } from '../../../agent/config/config.ts';
import { effectiveSettings } from '../../../agent/config/describe.ts';
import { CONFIG_FOLDERS, readConfigFiles } from '../../../agent/config/files.ts';
import { parseIni } from '../../../agent/config/ini.ts';
import { parseKernelParameters } from '../../../agent/config/kernel-parameters.ts';
import type { ConfigSource } from '../../../agent/config/settings.ts';
import { Failure } from '../../../system/failure.ts';
import { memoryFiles } from '../../fakes/agent-os.ts';

const line = (text: string): ConfigSource => ({
  kind: 'parameters',
  name: KERNEL_LINE,
  values: parseKernelParameters(text),
});
const media = (text: string): ConfigSource => ({
  kind: 'parameters',
  name: 'parameters.txt of virtual media',
  values: parseKernelParameters(text),
});
const file = (text: string, path = '/etc/ironic-python-agent.d/a.conf'): ConfigSource => ({ kind: 'file', path, text });

describe('a file', () => {
  test('has sections, comments, continued lines and quotes as oslo.config reads them', () => {
    const { entries, problems } = parseIni(
      [
        '# made by an operator',
        '[DEFAULT]',
        '; a comment, too',
        'api_url = https://192.0.2.1:6385,',
        '   https://[2001:db8::1]:6385',
        'listen-port: 8888',
        'agent_token = "a = b: c"',
        "inspection_collectors='default'",
        'ntp_server =',
        '',
        '[Container]\r',
        'runner = docker\r',
      ].join('\n'),
    );
    expect(problems).toEqual([]);
    expect(entries.map(({ group, option, value, line: at }) => [group, option, value, at])).toEqual([
      ['DEFAULT', 'api_url', 'https://192.0.2.1:6385,\nhttps://[2001:db8::1]:6385', 4],
      ['DEFAULT', 'listen-port', '8888', 6],
      ['DEFAULT', 'agent_token', 'a = b: c', 7],
      ['DEFAULT', 'inspection_collectors', 'default', 8],
      ['DEFAULT', 'ntp_server', '', 9],
      ['container', 'runner', 'docker', 12],
    ]);
  });

  test('says of each line that makes no sense which one it is', () => {
    const { problems } = parseIni('debug = true\n[DEFAULT\n[]\n  x\nnonsense\n=5\n');
    expect(problems.map(({ line: at, reason }) => `${at}: ${reason}`)).toEqual([
      '1: a section such as [DEFAULT] has to come before it',
      '2: a section is [name]',
      '3: a section is [name]',
      '4: it begins with a blank, but there is no value before it to go on with',
      '5: neither name = value nor [section] nor # comment',
      '6: neither name = value nor [section] nor # comment',
    ]);
  });

  test('that is garbage is read or refused by its lines, never anything else', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom(
        '[DEFAULT]\n',
        '[container]\n',
        'api_url=',
        'listen_port = 1\n',
        '\n',
        ' ',
        '=',
        '"',
        'debug: yes\n',
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        let message = 'cannot use line 1';
        try {
          loadConfig([file(pieces.join(''))]);
        } catch (error) {
          message = error instanceof Failure ? error.message : `no failure: ${String(error)}`;
        }
        for (const problem of message.split('\ncannot use ')) expect(problem).toMatch(/line \d+/);
      }),
      { numRuns: 200 },
    );
  });

  test('gives back what was written', () => {
    const option = fc.stringMatching(/^[a-z][a-z_]{0,20}$/);
    const value = fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/).filter((text) => !/^["']/.test(text));
    fc.assert(
      fc.property(fc.array(fc.tuple(option, value), { maxLength: 8 }), (pairs) => {
        const text = pairs.map(([name, content]) => `${name} = ${content}`).join('\n');
        expect(parseIni(`[DEFAULT]\n${text}`).entries.map((entry) => [entry.option, entry.value])).toEqual(pairs);
      }),
    );
  });
});

describe('files', () => {
  test('are the *.conf of both folders, in the order of their names', async () => {
    const names = ['.d/b.conf', '.d/a.conf', '/z.conf', '.d/mysteps.yaml', '/ironic.crt'];
    const files = memoryFiles(Object.fromEntries(names.map((name) => [`/etc/ironic-python-agent${name}`, name])));
    const found = await readConfigFiles(files);
    expect(found.map((source) => (source.kind === 'file' ? source.path : ''))).toEqual([
      `${CONFIG_FOLDERS[0]}/z.conf`,
      `${CONFIG_FOLDERS[1]}/a.conf`,
      `${CONFIG_FOLDERS[1]}/b.conf`,
    ]);
  });
});

describe('precedence', () => {
  const onLine = line('ipa-lookup-timeout=1 ipa-debug=1');
  const onMedia = media('ipa-lookup-timeout=2');
  const inFile = file('[DEFAULT]\nlookup_timeout = 3\n', '/etc/ironic-python-agent/a.conf');
  const inLater = file('[DEFAULT]\nlookup_timeout = 4\nlookup_timeout = 5\n');

  test.each([
    [[], 600, 'default'],
    [[onLine], 1, 'kernel command line (ipa-lookup-timeout)'],
    [[onLine, onMedia], 2, 'parameters.txt of virtual media (ipa-lookup-timeout)'],
    [[onLine, onMedia, inFile], 3, '/etc/ironic-python-agent/a.conf line 2'],
    [[onLine, onMedia, inFile, inLater], 5, '/etc/ironic-python-agent.d/a.conf line 3'],
  ])('%#: the later source counts', (sources, seconds, from) => {
    const loaded = loadConfig(sources);
    expect(loaded.config.lookupTimeoutSeconds).toBe(seconds);
    const shown = effectiveSettings(loaded).find(({ name }) => name === 'lookup_timeout');
    expect(shown).toEqual({ name: 'lookup_timeout', value: String(seconds), from });
  });

  test('only ipa-debug outranks a file', () => {
    const inBoth = file('[DEFAULT]\ndebug = false\ninsecure = false\n');
    expect(loadConfig([line('ipa-debug=1 ipa-insecure=1'), inBoth]).config).toMatchObject({
      debug: true,
      insecure: false,
    });
    expect(loadConfig([file('[DEFAULT]\ndebug = true\n')]).config.debug).toBe(true);
  });

  test('an empty value is none, but an empty list in a file is one', () => {
    const { config } = loadConfig([
      line('ipa-inspection-collectors=default,lldp ipa-lookup-timeout=7'),
      file('[DEFAULT]\ninspection_collectors =\nlookup_timeout =\n[mdns]\nallowed_overrides =\n'),
    ]);
    expect(config).toMatchObject({ inspectionCollectors: [], lookupTimeoutSeconds: 7, mdnsAllowedOverrides: [] });
    expect(loadConfig([line('ipa-inspection-collectors=')]).config.inspectionCollectors).toEqual([]);
  });

  test('a bad value that a stronger source replaces is of no importance', () => {
    expect(loadConfig([line('ipa-lookup-timeout=x'), inFile]).config.lookupTimeoutSeconds).toBe(3);
  });
});

describe('names', () => {
  test('of ironic-python-agent from earlier times still count', () => {
    const { config, notices } = loadConfig([
      file('[DEFAULT]\nlisten-port = 1234\nguard-special-filesystems = no\n[ssl]\ncert_file = /c\nkey_file = /k\n'),
    ]);
    expect(config).toMatchObject({
      listenPort: 1234,
      guardSpecialFilesystems: false,
      tlsCertFile: '/c',
      tlsKeyFile: '/k',
    });
    expect(notices).toEqual([]);
  });

  test('that nobody knows are said, with the place and the name that was probably meant', () => {
    const { notices } = loadConfig([
      line('quiet ipa-lookup-timout=5 console=ttyS0 ipa-xyzzy=1'),
      file('[DEFAULT]\nlisten_prt = 1\n[container]\nruner = podman\n[nobody]\nknows = this\n'),
    ]);
    expect(notices).toEqual([
      'ipa-lookup-timout (kernel command line) has no effect: this agent does not know it; did you mean ipa-lookup-timeout?',
      'ipa-xyzzy (kernel command line) has no effect: this agent does not know it',
      'listen_prt (/etc/ironic-python-agent.d/a.conf line 2) has no effect: this agent does not know it; did you mean listen_port?',
      '[container] runer (/etc/ironic-python-agent.d/a.conf line 4) has no effect: this agent does not know it; did you mean [container] runner?',
      '[nobody] knows (/etc/ironic-python-agent.d/a.conf line 6) has no effect: this agent does not know it',
    ]);
  });

  test('that mean nothing here are said with the reason', () => {
    const { notices } = loadConfig([
      line('ipa-standalone=0'),
      file('[metrics]\nbackend = statsd\n[disk_utils]\nimage_convert_memory_limit = 1\n[DEFAULT]\nlog_file = /x\n'),
    ]);
    expect(notices.map((notice) => notice.replace(/ \(.*\) /, ' '))).toEqual([
      'ipa-standalone has no effect: the agent always works for an Ironic',
      '[metrics] backend has no effect: there are no metrics; ironic-python-agent gives them up, too',
      '[disk_utils] image_convert_memory_limit has no effect: images are converted as they arrive, in bounded memory, without qemu-img',
      'log_file has no effect: the agent logs to the console, and its log is part of every archive of logs',
    ]);
  });
});

describe('a value', () => {
  test('that is bad is refused with its name and place, and so is every other', () => {
    const load = () =>
      loadConfig([
        line('ipa-lookup-interval=soon'),
        media('ipa-insecure=perhaps'),
        file('[DEFAULT]\nlisten_port = 99999\nagent_token = \u0001\nenable_auto_tls = maybe\nnonsense\n'),
      ]);
    expect(load).toThrow(
      [
        'cannot use line 5 of /etc/ironic-python-agent.d/a.conf: neither name = value nor [section] nor # comment',
        'kernel parameter ipa-lookup-interval=soon: a number of seconds from 0 to 2000000 is needed',
        'parameter of parameters.txt of virtual media ipa-insecure=perhaps: true or false is needed',
        'enable_auto_tls=maybe (/etc/ironic-python-agent.d/a.conf line 4): true or false is needed',
        'listen_port=99999 (/etc/ironic-python-agent.d/a.conf line 2): a port number from 1 to 65535 is needed',
      ].join('\ncannot use '),
    );
  });

  test('that is secret is not shown', () => {
    const loaded = loadConfig([line(`ipa-agent-token=hush`)]);
    expect(JSON.stringify(effectiveSettings(loaded))).not.toContain('hush');
    expect(effectiveSettings(loaded)).toContainEqual({
      name: 'agent_token',
      value: '***',
      from: 'kernel command line (ipa-agent-token)',
    });
  });
});
