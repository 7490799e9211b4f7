import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { makeConfig } from '../../../agent/config/config.ts';
import { applyLookup, applyMdns } from '../../../agent/config/overrides.ts';
import { parseKernelParameters } from '../../../agent/config/kernel-parameters.ts';

const configOf = (line = '') => makeConfig(parseKernelParameters(line));

/** What Ironic 38 answers, as its API makes it (`api/controllers/v1/ramdisk.py`). */
const FIELDS = {
  heartbeat_timeout: 300,
  agent_token: 'x',
  agent_token_required: true,
  agent_md5_checksum_enable: false,
  disable_deep_image_inspection: false,
  permitted_image_formats: ['raw', 'gpt', 'qcow2', 'iso'],
  agent_skip_bmc_detect: true,
  enable_bios_bootloader_install: false,
  tls_min_version: '1.3',
  tls_cipher_suites: null,
  agent_containers: {
    allow_arbitrary_containers: true,
    allowed_containers: ['docker://registry.example/step:1'],
    container_steps_file: '/etc/ironic-python-agent.d/mysteps.yaml',
    runner: 'docker',
    pull_options: [],
    run_options: ['--rm', '--network=host', '--privileged'],
  },
  metrics: { backend: 'noop' },
};

describe('what Ironic says at the lookup', () => {
  test('outranks everything else, field by field', () => {
    const config = configOf('ipa-tls-min-version=1.2');
    const { changed, problems } = applyLookup(config, FIELDS);
    expect(problems).toEqual([]);
    expect(changed).toEqual({
      md5Enabled: false,
      permittedImageFormats: ['raw', 'gpt', 'qcow2', 'iso'],
      skipBmcDetect: true,
      tlsMinVersion: '1.3',
      allowArbitraryContainers: true,
      allowedContainers: ['docker://registry.example/step:1'],
      containerRunner: 'docker',
      containerRunOptions: ['--rm', '--network=host', '--privileged'],
    });
    expect(config).toMatchObject(changed);
  });

  test('that is nothing, null or empty changes nothing', () => {
    const config = configOf();
    expect(applyLookup(config, { tls_min_version: null, tls_cipher_suites: '', agent_containers: null })).toEqual({
      changed: {},
      problems: [],
    });
    expect(config).toEqual(configOf());
  });

  test('never takes back a boot loader installation that a file allows', () => {
    const config = { ...configOf(), enableBiosBootloaderInstall: true };
    applyLookup(config, { enable_bios_bootloader_install: false });
    expect(config.enableBiosBootloaderInstall).toBe(true);
    const closed = configOf();
    applyLookup(closed, { enable_bios_bootloader_install: true });
    expect(closed.enableBiosBootloaderInstall).toBe(true);
  });

  test('that is bad or unknown is named and left out', () => {
    const config = configOf();
    const { changed, problems } = applyLookup(config, {
      tls_min_version: '1.0',
      permitted_image_formats: [1],
      agent_containers: { runner: 'lxc', colour: 'blue' },
    });
    expect(changed).toEqual({});
    expect(problems).toEqual([
      'tls_min_version=1.0 is not used: 1.2 or 1.3 is needed',
      'permitted_image_formats=[1] is not used: a comma list of formats is needed',
      'agent_containers.runner=lxc is not used: podman or docker is needed',
      'agent_containers.colour is not used: this agent does not know it',
    ]);
    expect(config).toEqual(configOf());
  });

  test('may be any JSON without harm', () => {
    const names = Object.keys(FIELDS);
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), fc.jsonValue()), (fields) => {
        const config = configOf();
        const { changed } = applyLookup(config, fields);
        expect(config).toEqual({ ...configOf(), ...changed });
      }),
    );
  });
});

describe('what an answer of mDNS says besides the URL', () => {
  test('is taken when it may be', () => {
    const config = configOf();
    const records = new Map([
      ['ipa_ntp_server', '192.0.2.123'],
      ['ipa_inspection_callback_url', 'https://192.0.2.1/v1/continue'],
      ['ipa_insecure', '1'],
      ['ipa_debug', '1'],
      ['colour', 'blue'],
    ]);
    const { changed, problems } = applyMdns(config, records);
    expect(changed).toEqual({
      inspectionCallbackUrls: ['https://192.0.2.1/v1/continue'],
      ntpServer: '192.0.2.123',
    });
    expect(problems).toEqual([
      'ipa_insecure is not used: insecure is not in [mdns] allowed_overrides',
      'ipa_debug is not used: debug is not in [mdns] allowed_overrides',
      'colour is not used: options begin with ipa_',
    ]);
    expect(config.insecure).toBe(false);
  });

  test('is checked as every other value', () => {
    const { changed, problems } = applyMdns(configOf(), new Map([['ipa_ntp_server', 'a b; reboot']]));
    expect(changed).toEqual({});
    expect(problems).toEqual(['ipa_ntp_server=a b; reboot is not used: an address or host name is needed']);
  });
});
