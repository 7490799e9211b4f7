import { expect, test } from 'vitest';

import { ironicSettings, settingsText } from './settings.ts';

const options = { agentApiPort: 6385, machineParameters: 'console=ttyS0,115200 no_timer_check', service: false };
const text = settingsText(ironicSettings(options));

test('Ironic keeps its own mind about TLS, tokens and versions', () => {
  expect(text).not.toMatch(/require_tls|require_agent_token|restrict_lookup|fast_track/);
});

test('only where a node is serviced anybody may look it up', () => {
  expect(settingsText(ironicSettings({ ...options, service: true }))).toContain('\nrestrict_lookup = false\n');
});

test('settings are an INI file whose sections are not torn apart', () => {
  expect(text).toMatch(/^\[DEFAULT\]\nauth_strategy = noauth\n/);
  const sections = [...text.matchAll(/^\[(\w+)\]$/gm)].map((match) => match[1]);
  expect(new Set(sections).size).toBe(sections.length);
});

test('every start of the ramdisk has its root in memory without a limit, and advertises what the conductor can reach', () => {
  const line = /^kernel_append_params = (.*)$/m.exec(text)?.[1]?.split(' ');
  expect(line).toEqual(
    expect.arrayContaining(['rootfstype=ramfs', 'ipa-advertise-host=127.0.0.1', 'ipa-advertise-port=9999']),
  );
});
