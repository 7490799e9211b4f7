import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';

import { extract } from 'tar-stream';
import { expect, test } from 'vitest';

import { collectSystemLogs } from '../../../agent/commands/logs.ts';
import { fakeOs, fakeRun, memoryFiles } from '../../fakes/agent-os.ts';

async function unpack(base64: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const archive = Readable.from(gunzipSync(Buffer.from(base64, 'base64'))).pipe(extract());
  for await (const entry of archive) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    files.set(entry.header.name, Buffer.concat(chunks).toString('utf8'));
  }
  return files;
}

test('the logs are a tar.gz in base64; what is not there is listed with the reason', async () => {
  const os = fakeOs({
    run: fakeRun({
      dmesg: '[    0.000000] Linux version 6.12\n',
      mount: 'proc on /proc\n',
      'tail -c 2162688 /run/ingot/boot.log': '[0.50] hello\n',
      'tail -c 2162688 /var/log/odd': 'odd words\n',
      'udevadm info --export-db': 'N: vda\nE: SUBSYSTEM=block\nE: DEVNAME=/dev/vda\n',
    }),
    files: memoryFiles({ '/proc/mdstat': 'Personalities :\n', '/var/log/odd': '' }),
  });
  const files = await unpack(await collectSystemLogs({ os, recentLog: () => ['[ 0.2] one', '[ 0.7] two'] }));
  expect(Object.fromEntries([...files].filter(([name]) => name !== 'ingot-gaps'))).toEqual({
    journal:
      '[     0.000] kernel: Linux version 6.12\n[     0.200] agent: one\n[     0.500] init: hello\n[     0.700] agent: two\n',
    dmesg: '[    0.000000] Linux version 6.12\n',
    mount: 'proc on /proc\n',
    mdstat: 'Personalities :\n',
    'ingot-agent.log': '[ 0.2] one\n[ 0.7] two\n',
    'run/ingot/boot.log': '[0.50] hello\n',
    'var/log/odd': 'odd words\n',
    'udev/vda': '{\n "SUBSYSTEM": "block",\n "DEVNAME": "/dev/vda"\n}\n',
  });
  const gaps = files.get('ingot-gaps') ?? '';
  expect(gaps).toContain('efibootmgr: cannot run efibootmgr -v: spawn efibootmgr ENOENT\n');
  expect(gaps).toContain('meminfo: cannot read /proc/meminfo\n');
});

test('a journal of systemd is taken as it is', async () => {
  const os = fakeOs({ run: fakeRun({ 'journalctl --full --no-pager -b': 'Nov 25 systemd[1]: words\n' }) });
  const files = await unpack(await collectSystemLogs({ os, recentLog: () => [] }));
  expect(files.get('journal')).toBe('Nov 25 systemd[1]: words\n');
});

test('the agent’s journal goes back to agents before this one, and a token on the kernel’s command line is not in it', async () => {
  const os = fakeOs({
    run: fakeRun({
      dmesg: '[    0.000000] Command line: ipa-agent-token=abcdefgh rootpwd="$6$salt$hash" quiet\n',
      'tail -c 2162688 /run/ingot/agent.log': '[    9.0] RangeError: the end\n[   12.0] back again\n',
    }),
  });
  const files = await unpack(await collectSystemLogs({ os, recentLog: () => ['[   12.0] back again'] }));
  expect(files.get('journal')).toContain('[     9.000] agent: RangeError: the end\n');
  for (const text of files.values()) expect(text).not.toMatch(/abcdefgh|salt|hash/);
});

test('of a log that is too long the end is kept', async () => {
  const os = fakeOs({ run: fakeRun({ dmesg: `${'x'.repeat(3 * 1024 ** 2)}the end` }) });
  const files = await unpack(await collectSystemLogs({ os, recentLog: () => [] }));
  expect(files.get('dmesg')).toHaveLength(2 * 1024 ** 2);
  expect(files.get('dmesg')?.endsWith('the end')).toBe(true);
});
