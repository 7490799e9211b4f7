import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Entry } from '../../builder/archive/entry.ts';
import { buildRamdisk } from '../../builder/build.ts';
import { shellInTree } from '../../builder/dib/inside.ts';
import { failedTree, removeTree } from '../../builder/dib/workspace.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { openHost } from '../../builder/host/system.ts';
import { entryBytes } from '../../builder/tree/bytes.ts';
import type { Progress } from '../../cli/progress.ts';
import type { Failure } from '../../system/failure.ts';
import { systemStart } from '../../system/run.ts';
import { debianDibElements } from '../lab/dib-elements.ts';
import { runHooks } from '../lab/dib-run.ts';

// Unmodified elements of diskimage-builder, as Debian packages them. Each of these brings hooks that run inside the image.
const IN_IMAGE = [
  'cloud-init-datasources',
  'cloud-init-nocloud',
  'devuser',
  'dpkg',
  'dynamic-login',
  'growroot',
  'ibft-interfaces',
  'journal-to-console',
  'local-config',
  'modprobe',
  'openssh-server',
  'runtime-ssh-host-keys',
  'sysprep',
];
// And these bring files, packages, commands or hooks beside it.
const OTHERS = ['apt-conf', 'apt-sources', 'disable-nouveau', 'ensure-venv', 'sysctl'];
const ENV = {
  DIB_MODPROBE_BLACKLIST: 'pcspkr floppy',
  DIB_DEV_USER_USERNAME: 'tester',
  DIB_DEV_USER_PASSWORD: 'not-to-be-seen',
  DIB_DEV_USER_PWDLESS_SUDO: 'yes',
};

let host: BuilderHost;
let folder: string;
let upstream: string;
let own: string;
const logged: string[] = [];
const progress: Progress = { update: () => undefined, log: (line) => void logged.push(line), finish: () => undefined };
const { signal } = new AbortController();

/** An element made up for a test: path to text, with run bits. */
async function element(name: string, files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    const file = join(own, name, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    await chmod(file, 0o755);
  }
}

/** What of a build of hooks is mounted where everybody sees it; other programs of this machine mount things, too. */
async function mounts(): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines.filter((line) => /\/dib-(work|roots|trees)\/|\/mnt\/mnt\b| tmpfs (left|kept) /.test(line));
}

/** Command lines of processes of this machine. */
async function processes(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return Promise.all(
    pids.map(async (pid) => (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ')),
  );
}

beforeAll(async () => {
  host = await openHost();
  folder = await mkdtemp(join(tmpdir(), 'ingot-dib-'));
  upstream = join(folder, 'upstream');
  own = join(folder, 'own');
  await debianDibElements(host, upstream, progress, signal);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('unmodified elements of diskimage-builder', () => {
  let entries: Map<string, Entry>;
  const text = async (path: string) => {
    const entry = entries.get(path);
    if (entry?.type !== 'file') throw new Error(`/${path} is no file`);
    return Buffer.from(await entryBytes(entry)).toString('utf8');
  };

  test(`run together: ${[...IN_IMAGE, ...OTHERS].join(', ')}`, async () => {
    const names = [...IN_IMAGE, ...OTHERS];
    const tree = await runHooks({ host, names, path: [upstream], env: ENV, progress, signal });
    entries = new Map(tree.entries.map((entry) => [entry.path, entry]));
    const inImage = /^(pre-install|install|post-install|finalise)$/;
    const ran = new Set(tree.record.hooks.filter(({ phase }) => inImage.test(phase)).map((one) => one.element));
    expect(IN_IMAGE.filter((name) => !ran.has(name))).toEqual([]);
    expect(await mounts()).toEqual([]);
  });

  test('configure what they are for', async () => {
    expect(await text('etc/modprobe.d/blacklist.conf')).toBe('blacklist pcspkr\nblacklist floppy\n');
    expect(await text('etc/modprobe.d/disable-nouveau.conf')).toContain('blacklist nouveau');
    expect(await text('etc/systemd/journald.conf.d/log-to-console.conf')).toContain('ForwardToConsole=true');
    expect(entries.has('var/lib/cloud/seed/nocloud/meta-data')).toBe(true);
    expect(await text('etc/machine-id')).toBe('');
    expect(await text('usr/local/bin/sysctl-write-value')).toContain('#!/bin/bash');
  });

  test('install packages under their names here, and remove none that stays', async () => {
    const status = await text('var/lib/dpkg/status');
    for (const name of ['openssh-server', 'cloud-guest-utils', 'python3-venv', 'sudo'])
      expect(status).toMatch(new RegExp(`^Package: ${name}\nStatus: install ok installed$`, 'm'));
  });

  test('add users with their owners, modes and passwords', async () => {
    const [, uid, gid] = /^tester:x:(\d+):(\d+):/m.exec(await text('etc/passwd')) ?? [];
    expect(Number(uid)).toBeGreaterThanOrEqual(1000);
    expect(entries.get('home/tester')).toMatchObject({ type: 'directory', uid: Number(uid), gid: Number(gid) });
    expect(entries.get('etc/shadow')).toMatchObject({ mode: 0o640, uid: 0, gid: 42 });
    expect(await text('etc/shadow')).toMatch(/^tester:\$/m);
    expect(entries.get('etc/sudoers.d/tester')).toMatchObject({ type: 'file' });
  });

  test('bring static files and units, and enable them', async () => {
    expect(entries.get('usr/local/sbin/growroot')).toMatchObject({ mode: 0o755, uid: 0 });
    expect(entries.get('usr/lib/systemd/system/growroot.service')).toMatchObject({ type: 'file' });
    expect(entries.get('etc/systemd/system/multi-user.target.wants/growroot.service')).toMatchObject({
      type: 'symlink',
    });
  });

  test('leave no secret, no key, no lists and no trace of this machine', async () => {
    expect(await text('etc/dib-manifests/dib_environment')).toContain('DIB_DEV_USER_PASSWORD=(not shown)');
    const all = [...entries.keys()];
    expect(
      all.filter((path) =>
        /^(etc\/ssh\/ssh_host_|var\/lib\/apt\/lists\/.|tmp\/.|run\/.|proc\/.|sys\/.|dev\/.)/.test(path),
      ),
    ).toEqual([]);
    expect(entries.has('etc/hostname')).toBe(false);
    expect(all.filter((path) => path.includes('__pycache__'))).toEqual([]);
  });

  test('do not run again for a second build', async () => {
    const names = [...IN_IMAGE, ...OTHERS];
    const tree = await runHooks({ host, names, path: [upstream], env: ENV, progress, signal });
    expect(tree.cached).toBe(true);
    expect(tree.entries).toHaveLength(entries.size);
  });
});

describe('hooks', () => {
  test('run in the order of their phases, each with the variables and the place that it may expect', async () => {
    const say = 'echo "$(basename "$(dirname "$0")") ${TARGET_ROOT-none} $PLACE $(pwd -P)"';
    // `! command` ends no script, so that what must fail has a word of its own.
    const head = '#!/bin/bash\nset -eu\nfails() { if "$@" 2>/dev/null; then echo "$* should fail"; exit 9; fi; }\n';
    const beside = `${head}${say} >>$TMP_MOUNT_PATH/order\n`;
    const image = `${head}[ -d /tmp/in_target.d ]\nfails touch /tmp/in_target.d/x\n${say} >>/order\n`;
    await element('order', {
      'environment.d/10-place.bash': 'export PLACE=$INGOT_PLACE\n',
      ...Object.fromEntries(
        ['root', 'extra-data', 'post-root', 'pre-finalise', 'cleanup'].map((name) => [`${name}.d/50-order`, beside]),
      ),
      ...Object.fromEntries(
        ['pre-install', 'install', 'post-install', 'finalise'].map((name) => [`${name}.d/50-order`, image]),
      ),
      'extra-data.d/60-host': `${head}source $_LIB/die
source $_LIB/common-functions
eval declare -A elements=($(get_image_element_array))
[ "$(readlink -f "\${elements[order]}")" = "$(readlink -f "${own}/order")" ]
run_in_target 'echo from outside >/inside'
sudo -E chroot $TMP_MOUNT_PATH chown daemon:daemon /inside
sudo mknod -m 0600 $TMP_MOUNT_PATH/node c 1 3
fails touch /usr/local/here
[ -z "$(find /dev -type b)" ]
echo name >$TMP_MOUNT_PATH/etc/resolv.conf.ORIG
sudo mount -t tmpfs left $TMP_MOUNT_PATH/srv
touch "$DIB_IMAGE_CACHE/ingot-test" "$DIB_LOCKFILES/ingot-test"
source $_LIB/img-functions
mkdir -p $TMP_BUILD_DIR/k/boot
touch $TMP_BUILD_DIR/k/boot/{vmlinuz-5.10.0,initramfs-5.10.0.img,vmlinuz-0-rescue-x}
select_boot_kernel_initrd $TMP_BUILD_DIR/k
[ "$KERNEL $RAMDISK $KERNEL_VERSION" = "vmlinuz-5.10.0 initramfs-5.10.0.img 5.10.0" ]
`,
      'install.d/60-image': `${head}[ "$(pkg-map --element order thing)" = other ]
fails pkg-map --element order unknown
[ "$(svc-map web)" = apache2 ]
[ "$ARCH $DISTRO_NAME $DIB_RELEASE" = "amd64 debian trixie" ]
[ "$(dib-init-system)" = systemd ]
[ -c /dev/null ]
[ -z "$(find /dev -type b)" ]
[ "$(cat /proc/1/comm)" = bash ]
`,
      'element-deps': 'source-repositories\n',
      'source-repository-order': `code git /opt/code file://${folder}/code v1\none file /opt/one file://${folder}/code/one\n`,
      'pkg-map': '{"family": {"debian": {"thing": "other"}}}',
      'svc-map': 'web:\n  debian: apache2\n',
    });
    const git = (...args: string[]) =>
      host.run('git', ['-C', join(folder, 'code'), '-c', 'user.name=x', '-c', 'user.email=x@x', ...args]);
    await mkdir(join(folder, 'code'));
    await writeFile(join(folder, 'code/one'), 'first\n');
    await git('init', '-q');
    await git('add', 'one');
    await git('commit', '-q', '-m', 'first');
    await git('tag', 'v1');
    const commit = (await git('rev-parse', 'v1')).stdout.trim();
    await writeFile(join(folder, 'code/one'), 'second\n');
    await git('commit', '-q', '-a', '-m', 'second');
    const { entries, record } = await runHooks({ host, names: ['order'], path: [own], progress, signal });
    const found = new Map(entries.map((entry) => [entry.path, entry]));
    const order = found.get('order');
    const lines =
      order?.type === 'file'
        ? Buffer.from(await entryBytes(order))
            .toString('utf8')
            .trim()
            .split('\n')
        : [];
    const words = lines.map((line) => line.split(' '));
    expect(words.map(([phase, root]) => `${phase} ${root === 'none' ? 'none' : 'root'}`)).toEqual([
      'root.d root',
      'extra-data.d none',
      'pre-install.d none',
      'install.d none',
      'post-install.d none',
      'post-root.d none',
      'pre-finalise.d none',
      'finalise.d none',
      'cleanup.d root',
    ]);
    expect(words.map(([, , place]) => place).join(' ')).toBe('host host image image image host host image host');
    expect(words.filter(([, , place]) => place === 'image').map((one) => one[3])).toEqual(['/', '/', '/', '/']);
    expect(found.get('inside')).toMatchObject({ uid: 1, gid: 1 });
    expect(found.get('node')).toMatchObject({ type: 'character', major: 1, minor: 3, mode: 0o600 });
    expect(found.get('etc/resolv.conf')).toMatchObject({ size: 5 });
    expect(logged.some((line) => line.includes('left something mounted at /srv'))).toBe(true);
    expect(found.get('opt/code/one')).toMatchObject({ size: 'first\n'.length });
    expect(found.get('opt/one')).toMatchObject({ size: 'second\n'.length });
    expect(record.sources.map((one) => one.resolved)).toEqual([commit, expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect(record.packages.length).toBeGreaterThan(50);
  });

  test('that fail are named, with their last lines and a shell in their tree', async () => {
    await element('breaks', {
      'install.d/50-breaks': '#!/bin/bash\necho done >/was-here\necho what went wrong\nexit 3\n',
    });
    const failure = await runHooks({ host, names: ['breaks'], path: [own], progress, signal }).then(
      () => undefined,
      (error: unknown) => error as Failure,
    );
    expect(failure?.message).toBe(
      'cannot go on: install.d/50-breaks of element breaks ended with exit code 3\nwhat went wrong',
    );
    const [, name] = /^build-ramdisk shell (\S+) opens a shell in its tree$/.exec(failure?.hint ?? '') ?? [];
    const tree = await failedTree(host, name);
    const lines: string[] = [];
    const command = ['sh', '-c', 'cat /was-here; echo $DISTRO_NAME; ls /tmp/in_target.d/install.d'];
    const code = await shellInTree(host, tree, command, {
      terminal: false,
      signal,
      onLine: (line) => void lines.push(line),
    });
    expect({ code, lines }).toMatchObject({
      code: 0,
      lines: ['done', 'debian', '20-install-init-scripts', '50-breaks'],
    });
    await removeTree(host, tree.folder);
  });

  test('that fetch what nobody has signed run only where that is allowed', async () => {
    const from = join(folder, 'fetched');
    await writeFile(from, 'from elsewhere\n');
    await element('fetches', {
      'extra-data.d/50-fetches': `#!/bin/bash\nset -e\ncurl -s file://${from} -o "$TMP_MOUNT_PATH/fetched"\n`,
    });
    const run = { host, names: ['fetches'], path: [own], progress, signal };
    await expect(runHooks(run)).rejects.toMatchObject({
      code: 'DIB_NETWORK',
      message: expect.stringContaining('extra-data.d/50-fetches of fetches calls curl') as string,
      hint: expect.stringContaining('--allow-network') as string,
    });
    const { entries, record } = await runHooks({ ...run, allowNetwork: true });
    expect(entries.find((entry) => entry.path === 'fetched')).toMatchObject({ size: 'from elsewhere\n'.length });
    expect(record.network).toEqual([expect.objectContaining({ element: 'fetches', program: 'curl' })]);
  });

  test('and all that they have mounted and started are gone when the builder is killed', async () => {
    const seconds = String(100_000 + process.pid);
    await element('sleeps', {
      'extra-data.d/50-sleeps': `#!/bin/bash\nmount -t tmpfs kept $TMP_MOUNT_PATH/srv\nsetsid sleep ${seconds} &\nsleep ${seconds}\n`,
    });
    const script = `
      const { runHooks } = await import('./test/lab/dib-run.ts');
      const { openHost } = await import('./builder/host/system.ts');
      const progress = { update: (state) => console.log(state.message), log: () => undefined, finish: () => undefined };
      await runHooks({ host: await openHost(), names: ['sleeps'], path: [${JSON.stringify(own)}], progress, signal: new AbortController().signal });
    `;
    const builder = systemStart(process.execPath, ['--input-type=module', '-e', script]);
    const isSleeping = (line: string) => line.startsWith(`sleep ${seconds}`);
    try {
      for await (const line of createInterface({ input: builder.stdout as NodeJS.ReadableStream }))
        if (line.includes('50-sleeps')) break;
      await expect.poll(async () => (await processes()).filter(isSleeping).length, { timeout: 30_000 }).toBe(2);
      expect(await mounts()).toEqual([]);
    } finally {
      const exit = once(builder, 'exit');
      builder.kill('SIGKILL');
      await exit;
    }
    await expect.poll(async () => (await processes()).filter(isSleeping), { timeout: 30_000 }).toEqual([]);
    expect(await mounts()).toEqual([]);
    // What is left is a folder, which the next build removes.
    const place = host.cache.path('dib-work', '');
    const left = (await readdir(place)).find((name) => name.endsWith(`.${builder.pid}`)) ?? '';
    expect(left).not.toBe('');
    await removeTree(host, join(place, left));
    await expect(stat(join(place, left))).rejects.toThrow('ENOENT');
  });
});

test('a ramdisk with such elements boots, and its agent starts', async () => {
  await element('marks', {
    'install.d/50-marks': '#!/bin/bash\nset -eu\necho "hooks were here" >/etc/marks\nuseradd --system marks\n',
    'element-deps': 'modprobe\nruntime-ssh-host-keys\ndeploy-baremetal\n',
  });
  await chmod(join(own, 'marks/element-deps'), 0o644);
  // An element of Ingot that brings a hook: its check holds only if that ran, and its text is there beside it.
  const declared = {
    name: 'declares',
    summary: 'a manifest with a hook',
    hooks: { 'install.d/60-declares': 'asks the system that it runs in' },
    texts: { 'etc/declared': { text: 'by the manifest\n' } },
    checks: [{ path: 'etc/made-by-hook', reason: 'its hook makes it' }],
  };
  await element('declares', {
    'element.json': JSON.stringify(declared),
    'install.d/60-declares': '#!/bin/bash\nset -eu\ngetent passwd root >/etc/made-by-hook\n',
  });
  const output = join(folder, 'with-hooks');
  const { manifest } = await buildRamdisk({
    host,
    arch: 'x86_64',
    release: 'trixie',
    elements: ['agent', 'marks', 'declares'],
    elementsPath: [own, upstream],
    env: ENV,
    compress: 'zstd:3',
    output,
    progress,
    signal,
  });
  expect(manifest.hooks?.elements).toEqual(expect.arrayContaining(['marks', 'modprobe', 'declares']));
  expect(manifest.elements.map((one) => one.name)).toContain('declares');
  expect(manifest.usage.rows.some((row) => row.element === 'hooks')).toBe(true);
  const machine = systemStart(process.execPath, ['bin/build-ramdisk.mjs', 'boot', output]);
  const screen: string[] = [];
  const limit = new AbortController();
  sleep(900_000, undefined, { signal: limit.signal }).then(
    () => machine.kill(),
    () => undefined,
  );
  try {
    // The agent loads while the network comes up: either may be the first.
    const awaited = new Set([/starting the agent/, /network: \S+ \d+\.\d+\.\d+\.\d+/]);
    for await (const line of createInterface({ input: machine.stdout as NodeJS.ReadableStream })) {
      screen.push(line);
      for (const sign of awaited) if (sign.test(line)) awaited.delete(sign);
      if (awaited.size === 0) break;
    }
    expect({ missing: [...awaited], screen: screen.slice(-20) }).toMatchObject({ missing: [] });
  } finally {
    const exit = once(machine, 'exit');
    machine.kill('SIGTERM');
    await exit;
    limit.abort();
  }
});
