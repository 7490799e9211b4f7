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

test('the logs are a tar.gz in base64, and a program that is not there says so in its own place', async () => {
  const os = fakeOs({
    run: fakeRun({ dmesg: '[    0.000000] Linux version 6.12\n', 'lsblk --all --ascii': 'sda\n' }),
    files: memoryFiles({ '/proc/mdstat': 'Personalities :\n' }),
  });
  const files = await unpack(await collectSystemLogs({ os, recentLog: () => ['one', 'two'] }));
  expect(files.get('ingot-agent.log')).toBe('one\ntwo\n');
  expect(files.get('dmesg')).toBe('[    0.000000] Linux version 6.12\n');
  expect(files.get('mdstat')).toBe('Personalities :\n');
  expect(files.get('efibootmgr')).toBe('cannot run efibootmgr -v: spawn efibootmgr ENOENT\n');
  expect(files.get('meminfo')).toBe('cannot read /proc/meminfo\n');
});

test('of a log that is too long the end is kept', async () => {
  const os = fakeOs({ run: fakeRun({ dmesg: `${'x'.repeat(3 * 1024 ** 2)}the end` }) });
  const files = await unpack(await collectSystemLogs({ os, recentLog: () => [] }));
  expect(files.get('dmesg')).toHaveLength(2 * 1024 ** 2);
  expect(files.get('dmesg')?.endsWith('the end')).toBe(true);
});
