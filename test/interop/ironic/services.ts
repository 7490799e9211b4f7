import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { ownedCommand } from '../../../machine/owned.ts';
import type { Run, Start } from '../../../system/run.ts';
import { HOST_SEEN_BY_GUEST } from '../../lab/netboot.ts';
import { interopFailure } from './failures.ts';
import { API, INSIDE } from './names.ts';
import { type IronicOptions, ironicSettings, NGINX_SETTINGS, settingsText } from './settings.ts';

/** Devices that programs expect; no block device of this machine is among them. */
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom'];
const SECONDS_TO_START = 120;
const SETTINGS = '/etc/ironic/ironic.conf';

export type Tree = {
  root: string;
  /** The words that run a program in it. */
  command: (program: string, args: readonly string[], env?: Readonly<Record<string, string>>) => [string, ...string[]];
};

/** Ironic's tree as programs see it. */
export function treeAt(root: string): Tree {
  const base = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C.UTF-8' };
  return {
    root,
    command: (program, args, env = {}) => [
      'chroot',
      root,
      '/usr/bin/env',
      '-i',
      ...Object.entries({ ...base, ...env }).map(([name, value]) => `${name}=${value}`),
      program,
      ...args,
    ],
  };
}

type Door = { run: Run; start: Start; signal: AbortSignal };

async function runIn(tree: Tree, program: string, args: readonly string[], { run, signal }: Door) {
  const [file, ...words] = tree.command(program, args);
  return run(file, words, { signal });
}

/** Unpacks Ironic's tree, gives it what a root tree needs, and the namespace its loopback. */
export async function openTree(
  root: string,
  archive: string,
  folders: { images: string; logs: string },
  door: Door,
): Promise<Tree> {
  const { run, signal } = door;
  const mount = (...args: string[]) => run('mount', args, { signal });
  await mkdir(root, { recursive: true });
  // A namespace may not make devices; we take the few that are needed from outside.
  await run('tar', ['-C', root, '--exclude=./dev/*', '-xf', archive], { signal });
  await mount('-t', 'proc', 'proc', join(root, 'proc'));
  await mount('-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', join(root, 'dev'));
  for (const name of DEVICES) {
    await writeFile(join(root, 'dev', name), '');
    await mount('--bind', `/dev/${name}`, join(root, 'dev', name));
  }
  await mkdir(join(root, 'dev/shm'));
  for (const [given, inside] of [
    [folders.images, INSIDE.images],
    [folders.logs, INSIDE.logs],
  ] as const) {
    await mkdir(join(root, inside), { recursive: true });
    await mount('--rbind', given, join(root, inside)); // with the images that are mounted in it
  }
  const tree = treeAt(root);
  await runIn(tree, 'ip', ['link', 'set', 'lo', 'up'], door);
  // The conductor looks at images under the address that the machine is given.
  await runIn(tree, 'ip', ['address', 'add', `${HOST_SEEN_BY_GUEST}/32`, 'dev', 'lo'], door);
  return tree;
}

/** Starts a program that stays until the namespace ends. @returns whether it still runs */
async function startIn(
  tree: Tree,
  program: string,
  args: readonly string[],
  log: string,
  door: Door,
): Promise<() => boolean> {
  const output = await open(log, 'a');
  const [file, ...words] = tree.command(program, args);
  const owned = ownedCommand(file, words);
  const child = door.start(owned.file, owned.args, { stdio: ['ignore', output.fd, output.fd] });
  await output.close();
  let runs = true;
  const end = () => {
    runs = false;
  };
  child.once('exit', end);
  child.once('error', end);
  return () => runs;
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

/**
 * Starts Ironic (API and conductor in one process) and the web server for images.
 * @throws Failure `IRONIC_NOT_UP`
 */
export async function startServices(
  tree: Tree,
  options: IronicOptions,
  logs: { ironic: string; images: string },
  door: Door,
): Promise<void> {
  await writeFile(join(tree.root, SETTINGS), settingsText(ironicSettings(options)));
  await writeFile(join(tree.root, 'etc/nginx/interop.conf'), NGINX_SETTINGS);
  for (const name of ['httpboot', 'tftpboot', 'master_images', 'images', 'lock'])
    await mkdir(join(tree.root, 'var/lib/ironic', name), { recursive: true });
  await mkdir(join(tree.root, INSIDE.logs, 'agent'), { recursive: true });
  await runIn(tree, 'ironic-dbsync', ['--config-file', SETTINGS, 'create_schema'], door);
  await startIn(tree, 'nginx', ['-c', '/etc/nginx/interop.conf', '-g', 'daemon off;'], logs.images, door);
  const runs = await startIn(tree, 'ironic', ['--config-file', SETTINGS], logs.ironic, door);
  const end = performance.now() + SECONDS_TO_START * 1000;
  while (!(await answers(`${API}/v1/drivers/redfish`))) {
    if (!runs()) throw interopFailure('IRONIC_NOT_UP', 'it ended at once');
    if (performance.now() > end) throw interopFailure('IRONIC_NOT_UP', `no answer within ${SECONDS_TO_START} s`);
    await sleep(500, undefined, { signal: door.signal });
  }
}
