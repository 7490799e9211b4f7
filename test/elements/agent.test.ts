import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test, vi } from 'vitest';

import { systemStart } from '../../system/run.ts';
import { busyboxScratch } from '../fakes/busybox.ts';

const SCRIPT = 'elements/agent/files/etc/ingot/agent';

/** A process that has ended may still have its entry, until somebody asks for its exit code. */
async function isAlive(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text !== '' && !/\) [ZX] /.test(text);
}

describe('the service of the agent', () => {
  test('ends what an agent that was killed had started, before init starts the next one', async () => {
    await using scratch = await busyboxScratch();
    const { root } = scratch;
    const file = async (name: string, text: string): Promise<void> => {
      await writeFile(join(root, name), text);
      await chmod(join(root, name), 0o755);
    };
    await mkdir(join(root, 'etc/ingot'), { recursive: true });
    await file('etc/ingot/console', `say() { echo "$*" >>${root}/said; }\nconsoles() { echo null; }\n`);
    await mkdir(join(root, 'run'));
    for (const script of ['spread', 'leftovers']) {
      const own = await readFile(`elements/agent/files/etc/ingot/${script}`, 'utf8');
      // Not those that other tests have started.
      await file(
        `etc/ingot/${script}`,
        own.replace('INGOT_AGENT_CHILD', 'INGOT_TEST_CHILD').replaceAll('/run/ingot/', `${root}/run/`),
      );
    }
    // As a disk's eraser that goes on after the agent: one that ends when it is told to, and one that does not.
    await file(
      'node',
      `#!/bin/sh\nsleep 1000 &\necho $! >${root}/polite\n(trap '' TERM; sleep 1000; sleep 1000) &\necho $! >${root}/stubborn\nINGOT_TEST_CHILD=1 setsid sleep 1000 &\necho $! >${root}/grouped\necho the last words\nkill -KILL $$\n`,
    );
    const text = (await readFile(SCRIPT, 'utf8'))
      .replaceAll('/etc/ingot/', `${root}/etc/ingot/`)
      .replaceAll('/run/ingot/', `${root}/run/`)
      .replaceAll('/opt/ingot/node', `sh ${root}/node`)
      .replace('sleep 3', 'sleep 0.3');
    await file('agent', text.replaceAll('/etc/.rescued', `${root}/rescued`));
    const programs = join(root, '..', 'programs');
    // A process group of its own, as init's setsid makes it: the test's own must not go with it.
    const service = systemStart(join(programs, 'sh'), [join(root, 'agent')], {
      env: { PATH: programs },
      stdio: 'ignore',
      detached: true,
    });
    await new Promise((resolve) => service.on('exit', resolve));
    const pids = await Promise.all(
      ['polite', 'stubborn', 'grouped'].map(async (name) => Number(await readFile(join(root, name), 'utf8'))),
    );
    await vi.waitFor(async () => expect(await Promise.all(pids.map(isAlive))).toEqual([false, false, false]));
    expect(await readFile(join(root, 'run/agent.log'), 'utf8')).toContain('the last words\n');
    expect(await readFile(join(root, 'said'), 'utf8')).toBe(
      'starting the agent\nthe agent ended with exit code 137; it is started again in 3 s\n',
    );
  });
});
