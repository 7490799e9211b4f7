import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { systemFollow } from '../../system/follow.ts';
import { busyboxScratch } from '../fakes/busybox.ts';

const SCRIPT = 'elements/agent/files/etc/ingot/rescue';
const HASH = '$5$rounds=1000$saltsalt$5sR5Wn6YoiKBXZ3yVD5kqxDmi0dVGrVl1d2sWQ0x8t1';

async function prepared(hash: string | undefined) {
  const scratch = await busyboxScratch();
  const path = (name: string) => join(scratch.root, name);
  for (const folder of ['etc/ipa-rescue-config', 'etc/ssh/sshd_config.d', 'usr/bin'])
    await mkdir(path(folder), { recursive: true });
  await writeFile(path('etc/passwd'), 'root:x:0:0::/root:/bin/sh\n');
  await writeFile(path('etc/shadow'), 'root:*:::::::\n', { mode: 0o600 });
  if (hash !== undefined) await writeFile(path('etc/ipa-rescue-config/ipa-rescue-password'), hash);
  const text = (name: string) => readFile(path(name), 'utf8');
  return { scratch, path, text, run: () => scratch.script(SCRIPT, [scratch.root]) };
}

test('the user rescue is root by another name, with the password of the hash, on consoles and by SSH', async () => {
  const { scratch, path, text, run } = await prepared(HASH);
  await using _ = scratch;
  for (let time = 0; time < 2; time += 1) {
    expect(await run()).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    expect(await text('etc/passwd')).toBe('root:x:0:0::/root:/bin/sh\nrescue:x:0:0:rescue:/root:/bin/sh\n');
    expect(await text('etc/shadow')).toBe(`root:*:::::::\nrescue:${HASH}:::::::\n`);
    await expect(text('etc/ipa-rescue-config/ipa-rescue-password')).rejects.toThrow('ENOENT');
    await writeFile(path('etc/ipa-rescue-config/ipa-rescue-password'), HASH);
  }
  expect((await stat(path('etc/shadow'))).mode & 0o777).toBe(0o600);
  expect(await text('etc/ssh/sshd_config.d/00-rescue.conf')).toMatch(/^Match User rescue\n/);
});

test.each([undefined, '', '$5$a$b:0:0', '$5$a$b\nroot::0'])(
  'with the password %j there is no such user',
  async (hash) => {
    const { scratch, text, run } = await prepared(hash);
    await using _ = scratch;
    expect((await run()).exitCode).toBe(1);
    expect(await text('etc/passwd')).not.toContain('rescue');
    expect(await text('etc/shadow')).toBe('root:*:::::::\n');
  },
);

test('sudo is there for whoever types it from habit', async () => {
  await using scratch = await busyboxScratch();
  const sudo = (...args: string[]) => scratch.script('elements/agent/files/etc/ingot/rescue-sudo', args);
  expect((await sudo('-n', '-E', 'echo', '-n', 'a b')).stdout).toBe('a b');
  expect((await sudo('-u', 'root', '--', 'echo', 'c')).stdout).toBe('c\n');
  expect((await sudo('-u', 'nobody', 'id')).exitCode).toBe(1);
  expect((await sudo()).exitCode).toBe(1);
});

test('what an agent that is no more has started in groups of their own is found by its mark', async () => {
  await using scratch = await busyboxScratch();
  const controller = new AbortController();
  let found: string[] = [];
  const running = systemFollow('sh', ['-c', 'sleep 100 & echo $$ $!; wait'], {
    signal: controller.signal,
    onLine: (line) => {
      void scratch.script('elements/agent/files/etc/ingot/leftovers').then(({ stdout }) => {
        found = stdout.split('\n').filter((pid) => line.split(' ').includes(pid));
        controller.abort(new Error('found'));
      });
    },
  });
  await expect(running).rejects.toThrow('found');
  expect(found).toHaveLength(2);
});
