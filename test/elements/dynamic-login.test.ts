import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { busyboxScratch } from '../fakes/busybox.ts';

const SCRIPT = 'elements/dynamic-login/files/etc/ingot/dynamic-login';
const SHADOW = 'root:*:::::::\nsshd:*:::::::\n';
const HASH = '$6$rounds=5000$saltsalt$0123456789./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const YESCRYPT = '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7';
const ED25519 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVl';
const RSA = 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ+/xyz=';
const ECDSA = 'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI';

/** What root has for a login after a boot with this command line. */
async function boot(commandLine: string, before = { shadow: SHADOW }) {
  await using scratch = await busyboxScratch();
  const file = join(scratch.root, 'cmdline');
  await writeFile(file, `${commandLine}\n`);
  await writeFile(join(scratch.root, 'etc/shadow'), before.shadow, { mode: 0o600 });
  const { stdout, stderr, exitCode } = await scratch.script(SCRIPT, [file, scratch.root]);
  expect([exitCode, stderr]).toEqual([0, '']);
  const keysFile = join(scratch.root, 'root/.ssh/authorized_keys');
  const keys = await readFile(keysFile, 'utf8').catch(() => '');
  const shadow = await readFile(join(scratch.root, 'etc/shadow'), 'utf8');
  const mode = async (path: string) => (await stat(path).catch(() => undefined))?.mode ?? 0;
  return {
    said: stdout,
    password: shadow.split('\n')[0]?.split(':')[1],
    keys: keys.split('\n').slice(0, -1),
    others: shadow.split('\n').slice(1).join('\n'),
    modes: [await mode(join(scratch.root, 'etc/shadow')), await mode(keysFile)].map((one) => one & 0o777),
  };
}

describe('rootpwd= on the kernel’s command line', () => {
  test.each([
    ['alone', `rootpwd=${HASH}`],
    ['among others', `console=ttyS0 rootpwd=${HASH} quiet`],
    ['quoted', `a=b rootpwd="${HASH}" c`],
    ['in single quotes', `a=b rootpwd='${HASH}' c`],
    ['quoted with its name, as GRUB does it', `a=b "rootpwd=${HASH}" c`],
    ['as base64', `rootpwd=${Buffer.from(HASH).toString('base64')} c`],
    ['as quoted base64', `rootpwd="${Buffer.from(HASH).toString('base64')}"`],
    ['unquoted before a quoted key', `rootpwd=${HASH} sshkey="${ED25519} me@here"`],
    ['after a quote that is not closed', `sshkey="${ED25519} me rootpwd="${HASH}"`],
    ['after an unquoted key', `sshkey=${ED25519} rootpwd=${HASH}`],
    ['twice: the last one counts', `rootpwd=${YESCRYPT} rootpwd=${HASH}`],
    ['with a quote that is not closed', `rootpwd="${HASH}`],
  ])('%s', async (_, commandLine) => {
    const { password, others, modes, said } = await boot(commandLine);
    expect(password).toBe(HASH);
    expect(others).toBe('sshd:*:::::::\n');
    expect(modes[0]).toBe(0o600);
    expect(said).not.toContain(HASH);
  });

  test('of another kind of hash', async () => {
    expect((await boot(`rootpwd=${YESCRYPT}`)).password).toBe(YESCRYPT);
  });

  test.each([
    ['that is not there', 'console=ttyS0 quiet'],
    ['that is empty', 'rootpwd= quiet'],
    ['that is a part of another name', `myrootpwd=${HASH} x.rootpwd=${HASH} rootpwds=${HASH}`],
    ['inside of another value', `dyndbg="file a rootpwd=${HASH} +p"`],
    ['that is plain text', 'rootpwd=secret'],
    ['that is base64 of plain text', `rootpwd=${Buffer.from('secret').toString('base64')}`],
    ['that would break out of its field', `rootpwd=${Buffer.from(`${HASH}:0:x\nevil::0:`).toString('base64')}`],
  ])('%s changes nothing', async (_, commandLine) => {
    const { password, others, said } = await boot(commandLine);
    expect([password, others]).toEqual(['*', 'sshd:*:::::::\n']);
    expect(said).not.toContain('secret');
  });
});

describe('sshkey= on the kernel’s command line', () => {
  test.each([
    ['quoted with a comment', `sshkey="${RSA} somebody at home"`, [`${RSA} somebody at home`]],
    ['quoted with its name', `x "sshkey=${ED25519} me" y`, [`${ED25519} me`]],
    ['in single quotes', `sshkey='${ED25519} me' y`, [`${ED25519} me`]],
    ['unquoted, which leaves the other arguments alone', `sshkey=${ED25519} quiet`, [ED25519]],
    ['unquoted at the end', `quiet sshkey=${ECDSA}`, [ECDSA]],
    ['unquoted with a comment', `sshkey=${RSA} me@here console=ttyS0`, [RSA]],
    ['with a quote that is not closed', `sshkey="${ED25519} me ipa-api-url=http://a`, [ED25519]],
    ['twice', `sshkey="${RSA} a" sshkey=${ED25519}`, [`${RSA} a`, ED25519]],
    ['twice the same', `sshkey=${ED25519} sshkey=${ED25519}`, [ED25519]],
  ])('%s', async (_, commandLine, keys) => {
    const result = await boot(commandLine);
    expect(result.keys).toEqual(keys);
    expect(result.modes[1]).toBe(0o600);
    expect(result.password).toBe('*');
  });

  test.each([
    ['no key', 'sshkey= quiet'],
    ['only its kind', 'sshkey=ssh-rsa quiet'],
    ['not one that OpenSSH knows', 'sshkey="ssh-telnet AAAAB3Nz me"'],
    ['a command', 'sshkey="$(reboot) `reboot`"'],
  ])('%s is left out', async (_, commandLine) => {
    expect((await boot(commandLine)).keys).toEqual([]);
  });

  test('is added to the keys that an element brings', async () => {
    await using scratch = await busyboxScratch();
    const file = join(scratch.root, 'cmdline');
    await writeFile(file, `sshkey=${ED25519}`);
    const run = () => scratch.script(SCRIPT, [file, scratch.root]);
    await run();
    const keys = join(scratch.root, 'root/.ssh/authorized_keys');
    await writeFile(keys, `${RSA} own\n`);
    await run();
    expect(await readFile(keys, 'utf8')).toBe(`${RSA} own\n${ED25519}\n`);
  });
});
