import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { loadAll } from '../../../agent/config/load.ts';
import { isVirtualMedia, parsePairs } from '../../../agent/config/virtual-media.ts';
import type { AgentOs, SystemFiles } from '../../../agent/os/door.ts';
import { systemFiles } from '../../../agent/os/files.ts';
import { type Run, systemRun } from '../../../system/run.ts';
import { fakeOs } from '../../fakes/agent-os.ts';
import { fakeClock } from '../../fakes/clock.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ingot-media-'));
});
afterEach(() => rm(root, { recursive: true }));

/** The machine's files under the test's own folder. */
function rootedFiles(): SystemFiles {
  const at = (path: string): string => join(root, path);
  return {
    ...systemFiles,
    read: (path) => systemFiles.read(at(path)),
    readBytes: (path) => systemFiles.readBytes(at(path)),
    list: (path) => systemFiles.list(at(path)),
    exists: (path) => systemFiles.exists(at(path)),
    write: (path, content, mode) => systemFiles.write(at(path), content, mode),
    makeDirectory: (path, mode) => systemFiles.makeDirectory(at(path), mode),
  };
}

async function put(path: string, text: string): Promise<string> {
  const file = join(root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  return file;
}

type Drive = { path: string; type?: string; transport?: string; size?: number; label?: string; iso?: string };

async function makeIso(
  name: string,
  label: string,
  content: Record<string, string>,
  publisher = 'nobody',
): Promise<string> {
  for (const [path, text] of Object.entries(content)) await put(`${name}.tree/${path}`, text);
  const iso = join(root, `${name}.iso`);
  const tree = join(root, `${name}.tree`);
  await systemRun('xorriso', ['-as', 'mkisofs', '-quiet', '-R', '-publisher', publisher, '-V', label, '-o', iso, tree]);
  return iso;
}

/** Lines as lsblk 2.41 writes them. What mounts and unmounts is xorriso: an unprivileged test can do neither. */
function machine(drives: readonly Drive[], cmdline: string, mounts = '') {
  const calls: string[] = [];
  const appearing = { after: 0 };
  let mountTable = mounts;
  const files = rootedFiles();
  const run: Run = async (file, args) => {
    calls.push([file, ...args].join(' '));
    const done = (stdout = '', exitCode = 0) => ({ stdout, stderr: '', exitCode });
    const device = args.find((word) => word.startsWith('/dev/'));
    const iso = drives.find(({ path }) => path === device)?.iso;
    if (file === 'lsblk') {
      appearing.after -= 1;
      const rows = drives.map(
        ({ path, type = 'rom', transport = 'sata', size = 409_600, label = '' }) =>
          `KNAME="${path}" TRAN="${transport}" TYPE="${type}" SIZE="${size}" LABEL="${label}"`,
      );
      return done(appearing.after < 0 ? `${rows.join('\n')}\n` : '');
    }
    if (file === 'blkid' && iso !== undefined)
      return systemRun('blkid', [...args.slice(0, -1), iso], { okExitCodes: [0, 2] });
    if (file === 'blkid') return done('', 2);
    if (file === 'findmnt') return done('', 1);
    if (file === 'udevadm') return done();
    if (file === 'mount' && iso !== undefined) {
      const target = join(root, args.at(-1) ?? '');
      return systemRun('xorriso', ['-osirrox', 'on:o_excl_off', '-indev', iso, '-extract', '/', target]);
    }
    if (file === 'umount' && args[0] === '/mnt/config') {
      mountTable = '';
      return done();
    }
    if (file === 'umount') {
      await systemRun('chmod', ['-R', 'u+w', join(root, args[0] ?? '')]);
      await rm(join(root, args[0] ?? ''), { recursive: true });
      return done();
    }
    throw new Error(`no program ${file}`);
  };
  const read: SystemFiles['read'] = async (path) => {
    if (path === '/proc/cmdline') return cmdline;
    return path === '/proc/mounts' ? mountTable : files.read(path);
  };
  const clock = fakeClock();
  const os: AgentOs = fakeOs({ run, clock, files: { ...files, read } });
  const load = (useMedia = true) => loadAll(os, { kernelParameters: undefined, useMedia });
  return { os, calls, clock, appearing, load };
}

const CONF = '[DEFAULT]\ncafile = /etc/ironic-python-agent/ironic.crt\nlookup_timeout = 77\n';
const bootIso = (label = 'VMEDIA_BOOT_ISO') =>
  makeIso('boot', label, {
    'etc/ironic-python-agent/ironic.crt': 'certificate',
    'etc/ironic-python-agent.d/ironic-tls.conf': CONF,
    'openstack/latest/network_data.json': '{}',
  });
const LINE = 'boot_method=vmedia ipa-api-url=http://192.0.2.1:6385 ipa-lookup-timeout=5';

describe('virtual media', () => {
  test('bring files of both folders, which then count as any others', async () => {
    const { load, calls } = machine(
      [{ path: '/dev/sr0', iso: await bootIso() }],
      LINE,
      '/dev/sr0 /mnt/config iso9660 ro 0 0\n',
    );
    const { config, notices, origins } = await load();
    expect(config).toMatchObject({ cafile: '/etc/ironic-python-agent/ironic.crt', lookupTimeoutSeconds: 77 });
    expect(origins.get('cafile')).toBe('/etc/ironic-python-agent.d/ironic-tls.conf line 2');
    expect(await readFile(join(root, '/etc/ironic-python-agent/ironic.crt'), 'utf8')).toBe('certificate');
    expect((await stat(join(root, '/etc/ironic-python-agent/ironic.crt'))).mode & 0o777).toBe(0o600);
    expect(notices).toEqual([
      '/etc/ironic-python-agent/ironic.crt was copied from virtual media',
      '/etc/ironic-python-agent.d/ironic-tls.conf was copied from virtual media',
    ]);
    expect(calls.filter((call) => call.startsWith('mount'))).toHaveLength(1);
    expect(calls.filter((call) => call.startsWith('umount'))).toEqual([
      'umount /run/ingot-agent/media',
      'umount /mnt/config',
    ]);
  });

  test('bring parameters, which outrank those of the kernel, also in an agent that is started again', async () => {
    const text = 'ipa-api-url=http://192.0.2.9 ipa-agent-token=secret-from-media ipa-lookup-timeout=6\n';
    const floppy = await makeIso('floppy', 'ir-vfd-dev', { 'parameters.txt': text });
    const drives = [{ path: '/dev/sdb', type: 'disk', transport: 'usb', label: 'IR-VFD-DEV', iso: floppy }];
    const { load, calls } = machine(drives, 'boot_method=vmedia ipa-lookup-timeout=5');
    const first = await load();
    expect(first.config).toMatchObject({
      apiUrls: ['http://192.0.2.9'],
      agentToken: 'secret-from-media',
      lookupTimeoutSeconds: 6,
    });
    expect(first.origins.get('apiUrls')).toBe('parameters.txt of virtual media (ipa-api-url)');
    calls.length = 0;
    expect((await load()).config).toEqual(first.config);
    expect(calls).toEqual([]);
  });

  test('without a label are found by what their drive calls itself', async () => {
    const floppy = await makeIso('floppy', 'other', { 'parameters.txt': 'ipa-api-url=http://192.0.2.9' });
    await put('/sys/class/block/sdb/device/model', 'iDRAC Virtual Media\n');
    const { load } = machine([{ path: '/dev/sdb', type: 'disk', transport: 'usb', iso: floppy }], 'boot_method=vmedia');
    expect((await load()).config.apiUrls).toEqual(['http://192.0.2.9']);
  });

  test('that show up late are waited for; those that never do are given up and said', async () => {
    const late = machine([{ path: '/dev/sr0', iso: await bootIso('config-2') }], LINE);
    late.appearing.after = 4;
    expect((await late.load()).config.lookupTimeoutSeconds).toBe(77);
    expect(late.clock.sleeps).toHaveLength(4);
    await rm(join(root, 'etc'), { recursive: true });
    await rm(join(root, 'run'), { recursive: true });
    const never = machine([], LINE);
    const { config, notices } = await never.load();
    expect(config.lookupTimeoutSeconds).toBe(5);
    expect(notices).toEqual(['boot_method=vmedia, but no virtual media showed up within 30 s']);
  });

  test('of another publisher than the kernel’s line names are somebody else’s', async () => {
    const ours = '5b0c9a6b-0c5f-4b7e-9a51-7c9e9fd1b7a1';
    const conf = 'etc/ironic-python-agent.d/a.conf';
    const foreign = await makeIso('foreign', 'config-2', { [conf]: '[DEFAULT]\nlookup_timeout = 1\n' }, 'Ironic');
    const own = await makeIso('own', 'config-2', { [conf]: '[DEFAULT]\nlookup_timeout = 2\n' }, ours.toUpperCase());
    const drives = [
      { path: '/dev/sda', type: 'disk', transport: 'usb', label: 'config-2', iso: foreign },
      { path: '/dev/sr0', label: 'config-2', iso: own },
    ];
    const { load } = machine(drives, `${LINE} ir_pub_id=${ours}`);
    const { config, notices } = await load();
    expect(config.lookupTimeoutSeconds).toBe(2);
    expect(notices[0]).toMatch(/^\/dev\/sda is not taken: its publisher is "Ironic", and ir_pub_id says 5b0c/i);
  });

  test('that cannot be unmounted stay so, which is said', async () => {
    const { load, os } = machine(
      [{ path: '/dev/sr0', iso: await bootIso() }],
      LINE,
      '/dev/sr0 /mnt/config iso9660 ro 0 0\n',
    );
    const { run } = os;
    os.run = (program, args, options) =>
      program === 'umount'
        ? Promise.reject(new Error(`umount: ${args[0]}: target is busy`))
        : run(program, args, options);
    const { config, notices } = await load();
    expect(config.lookupTimeoutSeconds).toBe(77);
    expect(notices).toContain('umount: /run/ingot-agent/media: target is busy');
    expect(notices.filter((notice) => notice.includes('/mnt/config'))).toHaveLength(1);
  });

  test('are left alone by a machine that did not boot from them, and by one that is not the agent’s', async () => {
    const drives = [{ path: '/dev/sr0', iso: await bootIso() }];
    const other = machine(drives, 'ipa-api-url=http://192.0.2.1');
    expect((await other.load()).config.cafile).toBeUndefined();
    const standalone = machine(drives, LINE);
    expect((await standalone.load(false)).config.cafile).toBeUndefined();
    expect([...other.calls, ...standalone.calls]).toEqual([]);
  });

  test('are not taken from disks and partitions, whatever these are called', async () => {
    const drives = [
      { path: '/dev/sda', type: 'disk', transport: 'sata', label: 'config-2' },
      { path: '/dev/sdb1', type: 'part', transport: '', label: 'ir-vfd-dev' },
      { path: '/dev/sdc', type: 'disk', transport: 'usb', size: 4 * 1024 ** 3, label: 'config-2' },
    ];
    const { load, calls } = machine(drives, LINE);
    const { notices } = await load();
    expect(notices.filter((notice) => notice.includes('is not taken for virtual media'))).toHaveLength(3);
    expect(calls.some((call) => call.startsWith('mount'))).toBe(false);
  });
});

describe('what counts as virtual media', () => {
  test.each([
    ['rom', 'sata', '1', true],
    ['rom', 'usb', '', true],
    ['disk', 'usb', '4294967295', true],
    ['disk', 'usb', '4294967296', false],
    ['disk', 'usb', '', false],
    ['disk', 'sata', '1', false],
    ['part', 'usb', '1', false],
    ['loop', '', '1', false],
  ])('TYPE %s, TRAN %s, SIZE %s: %s', (TYPE, TRAN, SIZE, expected) => {
    expect(isVirtualMedia({ TYPE, TRAN, SIZE })).toBe(expected);
  });
});

describe("lsblk's pairs", () => {
  test('keep blanks, quotes and empty values', () => {
    expect(parsePairs('KNAME="/dev/sr0" LABEL="my\\x20\\x22disc\\x22" TRAN=""\n\n')).toEqual([
      { KNAME: '/dev/sr0', LABEL: 'my "disc"', TRAN: '' },
    ]);
  });

  test('that are garbage are rows of texts, never an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const values = parsePairs(text).flatMap((row) => Object.values(row));
        expect(values.every((value) => typeof value === 'string')).toBe(true);
      }),
    );
  });
});
