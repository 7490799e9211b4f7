import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { systemStart } from '../../../system/run.ts';
import { freePort } from '../../fakes/free-port.ts';
import { startStrictIronic, type StrictIronic } from '../../fakes/strict-ironic.ts';

let folder: string;
let program: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-death-'));
  program = join(folder, 'agent.mjs');
  // One file starts several times faster than the sources, and there are many starts.
  await build({
    entryPoints: ['test/fakes/mortal-agent.ts'],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    define: { 'import.meta.dirname': JSON.stringify(import.meta.dirname) },
  });
});
afterAll(() => rm(folder, { recursive: true }));

/** mulberry32: the same numbers from 0 to 1 for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

type Life = { ironic: StrictIronic; journal: string[]; starts: number; wasWithoutToken: boolean; left: string[] };
type Killer = (ironic: StrictIronic, kill: () => void) => void;

const WITHOUT_TOKEN = 'state without a token: waiting for Ironic to give out a new one';

/**
 * One cleaning or deployment with an agent that is started again whenever it dies, as init does.
 * @param death where its first process dies, in the words of mortal-agent.ts
 * @param killer kills it from outside
 */
async function live(
  death: string,
  killer: Killer = () => undefined,
  kind: 'clean' | 'deploy' = 'clean',
): Promise<Life> {
  const ironic = await startStrictIronic(kind);
  const own = await mkdtemp(join(folder, 'life-'));
  const journalPath = join(own, 'journal');
  await writeFile(journalPath, '');
  const port = await freePort();
  const words = `ipa-api-url=${ironic.url} ipa-listen-host=127.0.0.1 ipa-listen-port=${port} ipa-advertise-port=${port}`;
  const life: Life = { ironic, journal: [], starts: 0, wasWithoutToken: false, left: [] };
  let child: ReturnType<typeof systemStart> | undefined;
  let isOver = false;
  const startProcess = (): void => {
    life.starts += 1;
    const args = [program, words, join(own, 'state'), journalPath, life.starts === 1 ? death : ''];
    child = systemStart(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('exit', () => !isOver && startProcess());
  };
  killer(ironic, () => child?.kill('SIGKILL'));
  startProcess();
  try {
    const deadline = performance.now() + 30_000;
    for (;;) {
      life.journal = (await readFile(journalPath, 'utf8')).split('\n');
      if (ironic.outcome() !== 'working') return life;
      if (!life.wasWithoutToken && life.journal.includes(WITHOUT_TOKEN)) {
        life.wasWithoutToken = true;
        ironic.forget();
      }
      if (performance.now() > deadline) throw new Error(`it never ends:\n${life.journal.join('\n')}`);
      await pause(20);
    }
  } finally {
    isOver = true;
    const gone = new Promise((resolve) => child?.on('exit', resolve));
    child?.kill('SIGKILL');
    await gone;
    life.left = (await readdir(join(own, 'state'))).filter((name) => name.endsWith('.tmp'));
    await ironic.close();
  }
}

/** What is wrong with a life, wherever the agent died in it. */
function wrongs({ ironic, journal, starts, left }: Life): string[] {
  const locked = journal.filter((line) => line.includes('locked') || line.startsWith('program ip link'));
  const refused = ironic.refused.map((why) => `a beat was refused: ${why}`);
  const beats = new Set(ironic.beats.map((beat) => JSON.stringify(beat))).size;
  // Nothing passes for done that did not run to its end.
  const undone = ironic.done.filter((step) => !journal.includes(`${step} end`)).map((step) => `${step} was not done`);
  const all = ironic.done.join() === 'erase_devices_metadata,erase_devices';
  return [
    ...locked,
    ...refused,
    ...undone,
    // The last process may have been stopped in the middle of a write.
    ...(left.length > 1 ? [`left behind: ${left.join()}`] : []),
    ...(beats > 1 ? ['beats differ'] : []),
    ...(ironic.outcome() === 'done' && !all ? [`done after ${ironic.done.join()}`] : []),
    ...(journal.filter((line) => line === 'start').length < Math.min(2, starts) ? ['it was not started again'] : []),
  ];
}

/** Lives one after the other in three rows: a life is mostly waiting. */
async function inThrees<T>(items: readonly T[], one: (item: T) => Promise<Life>): Promise<Map<T, Life>> {
  const left = items.values();
  const lives = new Map<T, Life>();
  const row = async (): Promise<void> => {
    for (const item of left) lives.set(item, await one(item));
  };
  await Promise.all([row(), row(), row()]);
  return lives;
}

const allWrongs = (lives: ReadonlyMap<unknown, Life>): string[] =>
  [...lives].flatMap(([item, life]) => wrongs(life).map((wrong) => `${JSON.stringify(item)}: ${wrong}`));

const INTERRUPTED = 'failed: the agent stopped and was started again while execute_clean_step was running';
const SLOW = { timeout: 180_000 };

describe('an agent that is killed', () => {
  test('at any change of its state goes on or fails its step, and is never locked out', SLOW, async () => {
    const unharmed = await live('');
    expect([wrongs(unharmed), unharmed.starts, unharmed.ironic.outcome()]).toEqual([[], 1, 'done']);
    const changes = unharmed.journal.filter((line) => line.startsWith('change '));
    expect(changes.some((line) => line.endsWith('write commands.json'))).toBe(true);
    const deaths = changes.flatMap((line) => {
      const number = line.split(' ')[1];
      return line.includes(' write ') ? [`${number}:torn`, `${number}:after`] : [`${number}:after`];
    });
    const lives = await inThrees(deaths, (death) => live(death));
    expect(allWrongs(lives)).toEqual([]);
    // The last change may be followed by the end of the flow before the death is noticed.
    expect([...lives.values()].filter(({ starts }) => starts < 2).length).toBeLessThanOrEqual(1);
    // Only what Ironic said and nobody wrote down is lost.
    const lookup = changes.findIndex((line) => line.endsWith('write state.json')) + 1;
    const without = [...lives].filter(([, life]) => life.wasWithoutToken).map(([death]) => death);
    expect(without).toEqual([`${lookup}:torn`]);
    const outcomes = [...lives.values()].map(({ ironic }) => ironic.outcome());
    expect(outcomes.filter((outcome) => outcome !== 'done' && !outcome.startsWith(INTERRUPTED))).toEqual([]);
  });

  test('in a step fails that step, or does it again when it is told to', SLOW, async () => {
    const deaths = ['erase_devices_metadata', 'erase_devices'].flatMap((step) =>
      ['begin', 'middle', 'end'].map((when) => `${step}:${when}`),
    );
    const lives = await inThrees(deaths, (death) => live(death));
    expect(allWrongs(lives)).toEqual([]);
    // One that died before it answered is asked again, and does the step from its beginning.
    const unexpected = [...lives].filter(
      ([death, { ironic }]) => !ironic.outcome().startsWith(death.endsWith(':begin') ? 'done' : INTERRUPTED),
    );
    expect(unexpected.map(([death, { ironic }]) => `${death}: ${ironic.outcome()}`)).toEqual([]);
  });

  test.each(['/v1/lookup', '/v1/heartbeat/'])('while Ironic answers %s is not locked out', SLOW, async (path) => {
    const moments = (['before', 'after'] as const).flatMap((when) => [1, 2].map((number) => ({ when, number })));
    const lives = await inThrees(moments, ({ when, number }) => {
      let seen = 0;
      return live('', (ironic, kill) => {
        ironic.on = (now, request) => {
          if (now === when && request.startsWith(path) && ++seen === number) kill();
        };
      });
    });
    expect(allWrongs(lives)).toEqual([]);
  });

  test('at times that a seed chooses', SLOW, async () => {
    const random = seeded(20_261_125);
    const plans = Array.from({ length: 9 }, () => [random() * 400, random() * 400, random() * 400]);
    const lives = await inThrees([...plans.entries()], async ([index, waits]) => {
      const timers: NodeJS.Timeout[] = [];
      const life = await live(
        '',
        (ironic, kill) => {
          // From the first lookup on: before it there is nothing to lose.
          ironic.on = (_, request) => {
            if (timers.length > 0 || request !== '/v1/lookup') return;
            let total = 0;
            for (const wait of waits) timers.push(setTimeout(kill, (total += wait)));
          };
        },
        index % 2 === 0 ? 'clean' : 'deploy',
      );
      for (const timer of timers) clearTimeout(timer);
      return life;
    });
    expect(allWrongs(lives)).toEqual([]);
  });
});
