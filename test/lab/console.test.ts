import { createServer } from 'node:net';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { plainConsole } from '../../machine/console.ts';
import { ownedCommand } from '../../machine/owned.ts';
import { openDialog } from './dialog.ts';
import { autoexecScript } from './netboot.ts';
import { createLineParser } from './qmp.ts';
import { followSerial } from './serial.ts';
import { systemStart } from '../../system/run.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lab-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('the serial console', () => {
  test('is text without escape sequences', () => {
    expect(plainConsole('\u001B[2J\u001B[01;01H\u001B[=3hBdsDxe: \u001B[0;1;31mloading\u001B[0m\r\n\u0000')).toBe(
      'BdsDxe: loading\n',
    );
  });

  test('gives each line once, however the writes are cut, and keeps an unfinished one for the tail', async () => {
    const path = join(folder, 'serial.log');
    const log = followSerial(path, 5);
    const lines: string[] = [];
    log.onLine((line) => lines.push(line));
    await writeFile(path, 'first\r\nsec');
    await expect.poll(() => lines).toEqual(['first']);
    await appendFile(path, Buffer.concat([Buffer.from('ond ü'), Buffer.from([0xe2, 0x82])]));
    await appendFile(path, Buffer.concat([Buffer.from([0xac]), Buffer.from('\n\nlogin: ')]));
    await expect.poll(() => lines).toEqual(['first', 'second ü€']);
    expect(log.tail(2)).toEqual(['second ü€', 'login: ']);
    await log.close();
  });
});

describe('somebody at a serial console', () => {
  /** A console that asks for a name, in pieces, and greets. */
  async function asking(): Promise<{ path: string; close: () => void }> {
    const path = join(folder, 'console');
    const server = createServer((socket) => {
      socket.write('\u001B[1mhost lo');
      socket.once('data', (typed) => {
        socket.write('gin: ');
        socket.once('data', (name) => socket.write(`${String(typed)}hello ${String(name)}\nagent: busy\n`));
      });
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return { path, close: () => server.close() };
  }

  test('reads until what is expected has come, and answers it', async () => {
    const server = await asking();
    const dialog = await openDialog(server.path);
    dialog.send('');
    await dialog.expect(/login: /, 5);
    dialog.send('root');
    const [, name] = await dialog.expect(/hello (\w+)\n/, 5);
    expect(name).toBe('root');
    dialog.close();
    server.close();
  });

  test('does not take what has been read once for new, and shows in the end what was said instead', async () => {
    const server = await asking();
    const dialog = await openDialog(server.path);
    await dialog.expect(/host/, 5);
    await expect(dialog.expect(/host/, 0.2)).rejects.toThrow(
      /cannot find on the serial console \/host\/ within 0.2 s; it says:\n lo$/,
    );
    dialog.close();
    server.close();
  });
});

test("the monitor's answers come out the same wherever the stream is cut", () => {
  const values = [{ QMP: {} }, { return: {} }, { event: 'RESET', data: { guest: true } }];
  const text = values.map((value) => `${JSON.stringify(value)}\r\n`).join('');
  fc.assert(
    fc.property(fc.array(fc.nat(text.length)), (cuts) => {
      const places = [0, ...cuts.toSorted((a, b) => a - b), text.length];
      const seen: unknown[] = [];
      const parse = createLineParser((value) => seen.push(value));
      places.slice(1).forEach((end, index) => parse(text.slice(places[index], end)));
      expect(seen).toEqual(values);
    }),
  );
});

test('iPXE leaves with an error, or firmware would not go on to the next boot option', () => {
  const script = autoexecScript('http://10.0.2.2:6385');
  expect(script.startsWith('#!ipxe\n')).toBe(true);
  // oxlint-disable-next-line no-template-curly-in-string -- a variable of iPXE
  expect(script).toContain('http://10.0.2.2:6385/boot/ipxe/${mac}');
  expect(
    script
      .trimEnd()
      .split('\n')
      .slice(1)
      .every((line) => line.endsWith('|| exit 1')),
  ).toBe(true);
});

test('a program dies with the process that started it, even when that is killed', async () => {
  const owned = ownedCommand('sleep', ['600']);
  const script = `const { spawn } = require('node:child_process');
    const child = spawn(${JSON.stringify(owned.file)}, ${JSON.stringify(owned.args)}, { stdio: 'ignore' });
    child.once('spawn', () => setTimeout(() => console.log(child.pid), 300));`;
  const parent = systemStart(process.execPath, ['-e', script]);
  const pid = await new Promise<number>((resolve) => {
    parent.stdout?.once('data', (text: Buffer) => resolve(Number(text.toString())));
  });
  const alive = () => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  expect(alive()).toBe(true);
  parent.kill('SIGKILL');
  await expect.poll(alive, { timeout: 5000 }).toBe(false);
});
