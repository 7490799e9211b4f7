import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { expect, test } from 'vitest';

import { systemStart } from '../../system/run.ts';
import { processesNaming } from '../lab/processes.ts';

const mounts = () => readFile('/proc/self/mounts', 'utf8');

/** Starts the demo as a terminal would, with a process group of its own, and waits for a line of its progress. */
async function demoUntil(folder: string, sign: string) {
  const demo = systemStart(process.execPath, ['test/lab/demo/main.ts', '--out', folder], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  const said: string[] = [];
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: demo.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      said.push(line);
      if (line.includes(sign)) resolve();
    });
    demo.once('exit', () => reject(new Error(`the demo ended early:\n${said.slice(-20).join('\n')}`)));
  });
  return { demo, said };
}

test('Ctrl-C while a machine boots leaves no process, no mount, no disk and no half file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-ctrl-c-'));
  const before = await mounts();
  try {
    const { demo, said } = await demoUntil(folder, 'inspect wait');
    expect((await processesNaming(folder)).some((line) => line.includes('qemu-system'))).toBe(true);
    const exit = once(demo, 'exit');
    // A terminal sends it to all that run in front of it.
    process.kill(-(demo.pid ?? 0), 'SIGINT');
    expect(await exit).toEqual([130, null]);
    expect(said.at(-1)).toContain('interrupted by SIGINT');
    expect(await processesNaming(folder)).toEqual([]);
    expect(await mounts()).toBe(before);
    const left = (await readdir(folder, { recursive: true })).filter((name) =>
      /\.(raw|tmp)$|id_ed25519|report\.json/.test(name),
    );
    expect(left).toEqual([]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
