import { chmod, mkdir, mkdtemp, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { INJECT_FILES } from '../../../agent/commands/inject-files.ts';
import { fillUrl, readInjectedFiles } from '../../../agent/commands/inject-request.ts';
import { GENERIC } from '../../../agent/commands/table.ts';
import { makeConfig } from '../../../agent/config/config.ts';
import { systemFiles } from '../../../agent/os/files.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { Failure } from '../../../system/failure.ts';
import { systemRun } from '../../../system/run.ts';
import { fakeDeps } from '../../fakes/agent-deps.ts';
import { startImageServer } from '../../fakes/image-server.ts';
import { fixture, machineOs } from '../../fakes/machine.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ingot-inject-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/**
 * A q35 machine with two partitions on /dev/sda whose file systems are folders: mounting one is putting a link to it where it is to be
 * mounted. Files and modes are real.
 */
async function machine(partitions: Record<string, Record<string, string>>) {
  const list = JSON.parse(fixture('qemu-q35', 'lsblk.json')) as { blockdevices: Record<string, unknown>[] };
  const disk = list.blockdevices.find(({ kname }) => kname === 'sda1');
  const others = list.blockdevices.filter((one) => one !== disk);
  const parts = Object.keys(partitions).map((kname) => ({ ...disk, kname, fstype: 'ext4', label: `label-${kname}` }));
  const stdout = JSON.stringify({ blockdevices: [...others, ...parts] });
  for (const [kname, files] of Object.entries(partitions))
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(root, kname, path, '..'), { recursive: true });
      await writeFile(join(root, kname, path), text);
    }
  const mounted = new Map<string, string>();
  const mounts: string[] = [];
  const there = (path: string): string => {
    for (const [folder, device] of mounted)
      if (path === folder || path.startsWith(`${folder}/`)) return device + path.slice(folder.length);
    return path.startsWith('/run/ingot-agent/') ? join(root, 'run', path) : path;
  };
  const back = (real: string | undefined): string | undefined => {
    for (const [folder, device] of mounted)
      if (real === device || real?.startsWith(`${device}/`)) return folder + real.slice(device.length);
    return real;
  };
  const base = machineOs('qemu-q35');
  const run: AgentOs['run'] = async (file, args, options) => {
    if (file === 'lsblk') return { stdout, stderr: '', exitCode: 0 };
    const last = args.at(-1) ?? '';
    if (file === 'mount') {
      const device = args.at(-2)?.replace('/dev/', '') ?? '';
      if (!(device in partitions))
        throw new Failure('COMMAND_FAILED', `cannot run mount: ${device} has no file system`);
      mounts.push(`${device} ${args[1]}`);
      mounted.set(last, join(root, device));
    } else if (file === 'umount') mounted.delete(last);
    else if (['stat', 'chmod', 'chown', 'test'].includes(file))
      return systemRun(
        file,
        args.map((word) => (word.startsWith('/') ? there(word) : word)),
        options,
      );
    else return base.run(file, args, options);
    return { stdout: '', stderr: '', exitCode: 0 };
  };
  const files: AgentOs['files'] = {
    ...base.files,
    exists: (path) => (path.startsWith('/run/') ? systemFiles.exists(there(path)) : base.files.exists(path)),
    resolve: async (path) =>
      path.startsWith('/run/') ? back(await systemFiles.resolve(there(path))) : base.files.resolve(path),
    write: (path, content, mode) => systemFiles.write(there(path), content, mode),
    makeDirectory: (path, mode) => systemFiles.makeDirectory(there(path), mode),
    remove: (path) => systemFiles.remove(there(path)),
  };
  const os = { ...base, run, files };
  const log: string[] = [];
  const inject = (list: unknown, more: { properties?: object; args?: object } = {}) => {
    const properties = { root_device: { name: '/dev/sda' }, ...more.properties };
    const request = {
      kind: 'deploy' as const,
      node: { uuid: 'node-7', properties },
      ports: [{ address: '52:54:00:00:00:01' }],
      args: { files: list, ...more.args },
    };
    const context = {
      signal: new AbortController().signal,
      progress: () => undefined,
      log: (line: string) => void log.push(line),
    };
    return INJECT_FILES.run(fakeDeps({ os, node: { current: request.node } }), request, context);
  };
  return { inject, log, mounts, mounted, at: (path: string) => join(root, path) };
}

describe('inject_files', () => {
  test('writes into the first partition that has the directory, and makes folders with their mode', async () => {
    const { inject, at, mounts, mounted } = await machine({ sda1: { 'EFI/x': '' }, sda2: { 'etc/hostname': 'old\n' } });
    await chmod(at('sda2/etc/hostname'), 0o600);
    await inject([
      { path: '/etc/hostname', content: base64('new\n') },
      { path: '/etc/a/b/file', content: base64('deep'), mode: 0o640, dirmode: 0o711 },
    ]);
    expect(await readFile(at('sda2/etc/hostname'), 'utf8')).toBe('new\n');
    const mode = async (path: string) => ((await stat(at(path))).mode & 0o777).toString(8);
    expect(await mode('sda2/etc/hostname')).toBe('600');
    expect(await mode('sda2/etc/a/b/file')).toBe('640');
    expect(await mode('sda2/etc/a/b')).toBe('711');
    expect(mounts).toContain('sda1 ro,nosuid,nodev,noexec');
    expect(mounts).toContain('sda2 nosuid,nodev,noexec');
    expect([...mounted]).toEqual([]);
  });

  test.each(['2', 2, '/dev/sda2', 'LABEL=LABEL-sda2'])(
    'writes where partition %j says, also into its root',
    async (partition) => {
      const { inject, at } = await machine({ sda1: { 'etc/x': '' }, sda2: { 'data/x': '' } });
      await inject([{ path: '/marker', partition, content: base64('here') }]);
      expect(await readFile(at('sda2/marker'), 'utf8')).toBe('here');
    },
  );

  test("takes the node's own files first, so that a step can say otherwise, and deletes", async () => {
    const { inject, at } = await machine({ sda1: { 'etc/old': 'x' } });
    await inject(
      [
        { path: '/etc/motd', content: base64('step') },
        { path: '/etc/old', deleted: true },
      ],
      {
        properties: { inject_files: [{ path: '/etc/motd', content: base64('node') }] },
      },
    );
    expect(await readFile(at('sda1/etc/motd'), 'utf8')).toBe('step');
    await expect(stat(at('sda1/etc/old'))).rejects.toThrow(/ENOENT/);
  });

  test('fetches what a URL names, with the node filled in', async () => {
    const server = await startImageServer(() => ({ content: Buffer.from('from the web') }));
    try {
      const { inject, at } = await machine({ sda1: { 'etc/x': '' } });
      await inject([
        { path: '/etc/conf', content: `${server.url.replace(/[^/]*$/, '')}{node[uuid]}/{ports[0][address]}` },
      ]);
      expect(await readFile(at('sda1/etc/conf'), 'utf8')).toBe('from the web');
      expect(server.requests[0]).toContain('/node-7/52:54:00:00:00:01');
    } finally {
      await server.close();
    }
  });

  test('never follows a link out of the partition, and is unmounted all the same', async () => {
    const { inject, at, mounted } = await machine({ sda1: { 'etc/x': '' } });
    await mkdir(at('outside'));
    await symlink(at('outside'), at('sda1/etc/link'));
    await expect(inject([{ path: '/etc/link/file', content: '' }])).rejects.toThrow(
      /\/etc\/link is a link that leads out/,
    );
    await symlink(at('outside/target'), at('sda1/etc/file'));
    await inject([{ path: '/etc/file', content: base64('mine') }]);
    expect(await readFile(at('sda1/etc/file'), 'utf8')).toBe('mine');
    await expect(readlink(at('sda1/etc/file'))).rejects.toThrow(/EINVAL/);
    await expect(stat(at('outside/target'))).rejects.toThrow(/ENOENT/);
    expect([...mounted]).toEqual([]);
  });

  test('says which partitions it looked at when none has the directory', async () => {
    const { inject } = await machine({ sda1: { 'EFI/x': '' } });
    await expect(inject([{ path: '/etc/x', content: '' }])).rejects.toMatchObject({
      type: 'DeviceNotFound',
      details: 'cannot inject files: no partition of /dev/sda has the directory /etc; looked at /dev/sda1',
    });
    await expect(inject([{ path: '/x', partition: 'LABEL=no', content: '' }])).rejects.toThrow(
      /0 partitions of \/dev\/sda/,
    );
  });

  test('has the priority that the configuration says', async () => {
    const priority = async (config: ReturnType<typeof makeConfig>) => {
      const steps = await GENERIC.steps(fakeDeps({ config }));
      return steps.find(({ step }) => step === 'inject_files')?.priorities;
    };
    expect(await priority(makeConfig(new Map()))).toEqual({ deploy: 0, service: 0 });
    expect(await priority(makeConfig(new Map([['ipa-inject-files-priority', '45']])))).toEqual({
      deploy: 45,
      service: 45,
    });
  });
});

describe('a list of files', () => {
  test.each([
    [{}, /it has no path/],
    [{ path: '/etc/' }, /directories are not supported/],
    [{ path: 'etc/x' }, /not absolute/],
    [{ path: '/etc/../x/y' }, /has \. or \.\./],
    [{ path: '/x' }, /needs a partition/],
    [{ path: '/etc/x', content: 'a b!', colour: 1 }, /colour is not known; .*neither base64 nor a URL/],
    [{ path: '/etc/x', content: base64('x'), deleted: true }, /exclude one another/],
    [{ path: '/etc/x', mode: '0644' }, /its mode is no whole number/],
    [{ path: '/etc/x', owner: -1 }, /its owner is no whole number/],
    [{ path: '/etc/x', partition: {} }, /neither a number nor a text/],
    ['x', /it is no object/],
  ])('with %j is refused', (file, words) => {
    expect(() => readInjectedFiles(undefined, [file])).toThrow(words);
  });

  test('never has its contents in an error, and may be anything without harm', () => {
    expect(() => readInjectedFiles([{ path: '/etc/x', content: 'c2VjcmV0LXRleHQ=', mode: 'x' }], 'no')).toThrow(
      /^Invalid command parameters: cannot inject files: properties.inject_files, number 1 \(\/etc\/x\): its mode is no whole number; files is no list$/,
    );
    fc.assert(
      fc.property(fc.anything({ maxDepth: 3 }), fc.anything({ maxDepth: 3 }), (a, b) => {
        let failure: unknown;
        try {
          readInjectedFiles(a, [b]);
        } catch (error) {
          failure = error;
        }
        expect(failure === undefined || failure instanceof AgentError).toBe(true);
      }),
    );
  });

  test('has URLs as Python fills them', () => {
    const values = { node: { uuid: 'u', extra: { a: 1 } }, ports: [{ address: 'm' }] };
    expect(fillUrl('http://x/{node[uuid]}/{node[extra][a]}/{{{ports[0][address]}}}', values)).toBe('http://x/u/1/{m}');
    for (const url of ['http://x/{node[name]}', 'http://x/{secret}', 'http://x/{node}', 'http://x/{}'])
      expect(() => fillUrl(url, values)).toThrow(/names nothing of the node/);
  });
});
