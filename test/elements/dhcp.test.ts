import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { busyboxScratch, type Scratch } from '../fakes/busybox.ts';

const SCRIPT = 'elements/init/files/etc/ingot/udhcpc';
const MAC = '52:54:00:12:34:56';
const LEASE = { interface: 'enp0s2', ip: '10.0.2.15', mask: '24', router: '10.0.2.2' };

/** The script in a scratch folder: `ip` does nothing, and `mv` notes what stands in the folder of addresses before it moves. */
async function withScript({ root }: Scratch): Promise<string> {
  const programs = join(root, '..', 'programs');
  const program = async (name: string, text: string): Promise<void> => {
    await rm(join(programs, name), { force: true });
    await writeFile(join(programs, name), `#!${programs}/sh\n${text}\n`, { mode: 0o755 });
  };
  await program('ip', 'exit 0');
  await program('mv', `ls ${root}/run/network >>${root}/seen\nbusybox mv "$@"`);
  await mkdir(join(root, 'etc/ingot'), { recursive: true });
  await mkdir(join(root, 'run/network'), { recursive: true });
  await mkdir(join(root, `sys/class/net/${LEASE.interface}`), { recursive: true });
  await writeFile(join(root, `sys/class/net/${LEASE.interface}/address`), `${MAC}\n`);
  await writeFile(join(root, `sys/class/net/${LEASE.interface}/ifindex`), '2\n');
  await writeFile(join(root, 'etc/ingot/console'), `say() { echo "$*" >>${root}/said; }\nparameter() { :; }\n`);
  const own = (await readFile(SCRIPT, 'utf8'))
    .replaceAll('/run/ingot/', `${root}/run/`)
    .replaceAll('/etc/ingot/', `${root}/etc/ingot/`)
    .replaceAll('/sys/', `${root}/sys/`);
  const path = join(root, 'udhcpc');
  await writeFile(path, own);
  return path;
}

describe('a lease', () => {
  test('has its file among the addresses when that is whole, and nothing before', async () => {
    await using scratch = await busyboxScratch();
    const { root } = scratch;
    const script = await withScript(scratch);
    await writeFile(join(root, 'run/network-wait'), '');
    expect(await scratch.script(script, ['bound'], LEASE)).toMatchObject({ exitCode: 0 });
    // sysinit takes whatever is there for an address, and read "no address yet" from what was moved away under its hands.
    expect(await readFile(join(root, 'seen'), 'utf8')).toBe('');
    expect(await readFile(join(root, 'run/network', MAC), 'utf8')).toBe('enp0s2 10.0.2.15/24\n');
    await expect(readFile(join(root, 'said'))).rejects.toThrow('ENOENT');
  });

  test('that comes after the line about the network is said on the console, and its renewals are not', async () => {
    await using scratch = await busyboxScratch();
    const { root } = scratch;
    const script = await withScript(scratch);
    for (const event of ['bound', 'renew', 'renew']) await scratch.script(script, [event], LEASE);
    expect(await readFile(join(root, 'said'), 'utf8')).toBe('network: enp0s2 10.0.2.15/24\n');
  });
});
