import { describe, expect, test } from 'vitest';

import { showConfig } from '../../agent/config-command.ts';
import { fakeOs, memoryFiles } from '../fakes/agent-os.ts';

const STATE = '/run/ingot-agent';

async function show(json: boolean, files: Record<string, string>): Promise<string> {
  let text = '';
  const code = await showConfig({
    os: fakeOs({ files: memoryFiles(files) }),
    kernelParameters: undefined,
    stateDirectory: STATE,
    stdout: { write: (piece) => (text += piece) },
    json,
  });
  expect(code).toBe(0);
  return text;
}

const MACHINE = {
  '/proc/cmdline':
    'quiet boot_method=vmedia ipa-agent-token=geheim ipa-debug=1 ipa-nobody=1 ipa-api-url=https://u:p@h:1',
  '/run/ingot-agent/parameters.txt': 'ipa-lookup-timeout=9',
  '/etc/ironic-python-agent.d/a.conf': '[DEFAULT]\ndebug = no\nlisten_port = 1234\n',
  [`${STATE}/state.json`]: JSON.stringify({
    token: 'also secret',
    overrides: { tlsMinVersion: { value: '1.3', by: 'Ironic' } },
  }),
};

describe('ingot-agent config', () => {
  test('shows what was set with its source, then the defaults, then what has no effect', async () => {
    const lines = (await show(false, MACHINE)).split('\n').map((line) => line.replaceAll(/ {2,}/g, '  '));
    expect(lines.slice(0, lines.indexOf('default'))).toEqual([
      'set',
      '  api_url  https://***@h:1  (kernel command line (ipa-api-url))',
      '  agent_token  ***  (kernel command line (ipa-agent-token))',
      '  lookup_timeout  9  (parameters.txt of virtual media (ipa-lookup-timeout))',
      '  tls_min_version  1.3  (Ironic)',
      '  boot_method  vmedia  (kernel command line (boot_method))',
      '  listen_port  1234  (/etc/ironic-python-agent.d/a.conf line 3)',
      '  debug  true  (kernel command line (ipa-debug))',
    ]);
    expect(lines).toContain('  advertise_port  9999');
    expect(lines.slice(lines.indexOf('without effect') + 1)).toEqual([
      '  ipa-nobody (kernel command line) has no effect: this agent does not know it',
      '',
    ]);
  });

  test('is JSON for programs, without secrets', async () => {
    const text = await show(true, MACHINE);
    expect(text).not.toMatch(/geheim|also secret|u:p/);
    const { settings, notices } = JSON.parse(text) as { settings: { name: string }[]; notices: string[] };
    expect(settings).toContainEqual({ name: 'tls_min_version', value: '1.3', from: 'Ironic' });
    expect(settings).toContainEqual({ name: '[container] runner', value: 'podman', from: 'default' });
    expect(notices).toHaveLength(1);
  });

  test('works on a machine where no agent ever ran', async () => {
    expect(await show(false, { '/proc/cmdline': '' })).toMatch(/^set\ndefault\n/);
  });
});
