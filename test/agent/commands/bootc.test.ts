import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { CommandResult } from '../../../agent/api/command.ts';
import { COMMANDS } from '../../../agent/commands/table.ts';
import { type AgentConfig, makeConfig } from '../../../agent/config/config.ts';
import { createRunner } from '../../../agent/engine/runner.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { systemRun } from '../../../system/run.ts';
import { fakeDeps } from '../../fakes/agent-deps.ts';
import { PartitionedDisk } from '../../fakes/partitioned-disk.ts';

const MIB = 1024 ** 2;
const iso = Buffer.alloc(40 * 2048);
iso.write('\u0001CD001\u0001', 0x80_00, 'latin1');
const CONFIG_DRIVE = gzipSync(iso).toString('base64');
const SOURCE = 'oci://registry.example.com:5000/os/server:1';
const IMAGE = 'registry.example.com:5000/os/server:1';
const AUTH = '/run/ingot-agent/bootc-auth.json';
const SECRET = Buffer.from('dXNlcjpwYXNzd29yZA==').toString('base64');

let disk: PartitionedDisk;
/** How podman was called, and what stood in its file of secrets then. */
let calls: { line: string; auth: string | undefined }[];

beforeEach(async () => {
  disk = await PartitionedDisk.make(1024 * MIB);
  calls = [];
});
afterEach(() => disk.close());

type Podman = { pull?: number; run?: number; says?: string; isMissing?: boolean };

/** A podman that does to the disk what `bootc install` of a container would. */
function runner(podman: Podman = {}, change: Partial<AgentConfig> = {}) {
  const os = disk.os();
  const follow: AgentOs['follow'] = async (file, args, { onLine }) => {
    calls.push({ line: [file, ...args].join(' '), auth: disk.files.all.get(AUTH) });
    onLine(podman.says ?? 'well', 'stdout');
    const exitCode = (args.includes('run') ? podman.run : podman.pull) ?? 0;
    if (args.includes('run') && exitCode === 0)
      await systemRun('sgdisk', ['-n', '1:2048:+64M', '-n', '2:0:+16M', disk.file]);
    return { exitCode, killedBy: null, isTimedOut: false };
  };
  disk.others = async (file) => {
    if (podman.isMissing) throw new Error(`spawn ${file} ENOENT`);
    return { stdout: `${file} version 5.4.2`, stderr: '', exitCode: 0 };
  };
  const deps = fakeDeps({ os: { ...os, follow }, config: { ...makeConfig(new Map()), ...change } });
  const { execute } = createRunner({
    commands: COMMANDS,
    deps,
    signal: new AbortController().signal,
    log: () => undefined,
  });
  return (name: string, params: Record<string, unknown>): Promise<CommandResult> => execute(name, params, true);
}

const INSTALL =
  'podman --log-level=debug run --rm --privileged --pid=host --pull=never -v /var/lib/containers:/var/lib/containers -v /dev:/dev';
const BOOTC = `${IMAGE} bootc install to-disk --wipe --skip-fetch-check --root-size=256M`;

describe('execute_bootc_install', () => {
  test('pulls with the secret, installs without it, and puts the config drive beside', async () => {
    const step = {
      step: 'execute_bootc_install',
      interface: 'deploy',
      args: { image_source: SOURCE, configdrive: CONFIG_DRIVE, oci_pull_secret: SECRET },
    };
    const result = await runner()('deploy.execute_deploy_step', { step, node: { uuid: 'n' }, ports: [] });
    expect(result.command_error).toBeNull();
    expect(result.command_result).toMatchObject({
      deploy_result: { result: `execute_bootc_install: Container image (${SOURCE}) written to device /dev/vda` },
    });
    expect(calls).toEqual([
      {
        line: `podman pull --authfile=${AUTH} --retry-delay=5s ${IMAGE}`,
        auth: '{"auths":{"registry.example.com:5000":{"auth":"dXNlcjpwYXNzd29yZA=="}}}',
      },
      { line: `${INSTALL} ${BOOTC} --disable-selinux /dev/vda`, auth: undefined },
    ]);
    expect(disk.files.all.get('/etc/containers/containers.conf.d/01-ipa.conf')).toContain('no_pivot_root = true');
    const { start } = disk.partition('/dev/vda3');
    expect((await disk.read(start * 512, iso.length)).equals(iso)).toBe(true);
  });

  test('as a command, with what the node wants of it', async () => {
    const instance_info = { bootc_authorized_keys: 'ssh-ed25519 AAAA', bootc_tpm2_luks: true };
    const result = await runner()('standby.execute_bootc_install', { image_source: SOURCE, instance_info });
    expect(result.command_result).toEqual({
      result: `execute_bootc_install: Container image (${SOURCE}) written to device /dev/vda`,
    });
    const keys = '/tmp/ingot-bootc-authorized-keys';
    expect(calls.map(({ line }) => line)).toEqual([
      `podman pull --retry-delay=5s ${IMAGE}`,
      `${INSTALL} -v /tmp:/tmp ${BOOTC} --block-setup=tpm2-luks --root-ssh-authorized-keys=${keys} --disable-selinux /dev/vda`,
    ]);
    expect(disk.files.all.get(keys)).toBe('ssh-ed25519 AAAA');
  });

  test.each<[string, Podman, string, string]>([
    [
      'podman is not in the ramdisk',
      { isMissing: true },
      'CommandExecutionError',
      'there is no podman in this ramdisk',
    ],
    [
      'the registry refuses',
      { pull: 125, says: 'unauthorized' },
      'ImageDownloadError',
      `Failed to pull container image ${IMAGE}: unauthorized`,
    ],
    ['bootc fails', { run: 1, says: 'no space' }, 'ImageWriteError', 'podman ended with 1: no space'],
    [
      'the container is no operating system',
      { run: 127, says: 'executable file `bootc` not found in $PATH' },
      'ImageDownloadError',
      'does not contain the required bootc binary',
    ],
  ])('fails with the reason when %s, and leaves no secret', async (_, podman, type, why) => {
    const result = await runner(podman)('standby.execute_bootc_install', { image_source: SOURCE, pull_secret: SECRET });
    expect(result.command_error).toMatchObject({ type, details: expect.stringContaining(why) as string });
    expect(disk.files.all.has(AUTH)).toBe(false);
  });

  test.each([
    ['oci://--privileged/x', {}],
    ['oci://registry.example.com', {}],
    ['', {}],
    [SOURCE, { bootc_authorized_keys: ['a'] }],
  ])('calls nothing with %j and %j', async (image_source, instance_info) => {
    const result = await runner()('standby.execute_bootc_install', { image_source, instance_info });
    expect(result.command_error).toMatchObject({ type: 'InvalidCommandParamsError' });
    expect(calls).toEqual([]);
  });

  test('is refused where the operator does not want it', async () => {
    const result = await runner({}, { disableBootcDeploy: true })('standby.execute_bootc_install', {
      image_source: SOURCE,
    });
    expect(result.command_error?.details).toContain('disable_bootc_deploy');
    expect(calls).toEqual([]);
  });
});
