import { formatSeconds, type Progress, type ProgressUpdate } from '../../../cli/progress.ts';
import { Failure, reasonOf } from '../../../system/failure.ts';

/** Runs the demo's steps one after the other, shows which one is on and how long it takes, and names the one that failed. */
export type Steps = {
  run: <T>(name: string, work: (progress: Progress) => Promise<T>) => Promise<T>;
  done: () => { name: string; seconds: number }[];
};

/**
 * @param console_ last lines of the serial console; empty while there is none
 */
export function createSteps(progress: Progress, signal: AbortSignal, console_: () => string[]): Steps {
  const finished: { name: string; seconds: number }[] = [];

  /** Says the last word again each second, so that a log shows that something is alive. */
  const ticking = (name: string) => {
    const start = performance.now();
    let last: ProgressUpdate = { phase: 'begins' };
    const show = () => {
      const elapsed = formatSeconds((performance.now() - start) / 1000);
      progress.update({
        ...last,
        phase: `${name}: ${last.phase}`,
        message: [last.message, elapsed].filter(Boolean).join('  '),
      });
    };
    const timer = setInterval(show, 1000);
    const own: Progress = {
      update: (update) => {
        last = update;
        show();
      },
      log: progress.log,
      finish: () => undefined,
    };
    return { own, stop: () => clearInterval(timer) };
  };

  return {
    run: async (name, work) => {
      signal.throwIfAborted();
      const start = performance.now();
      const { own, stop } = ticking(name);
      try {
        const result = await work(own);
        signal.throwIfAborted();
        const seconds = Math.round((performance.now() - start) / 100) / 10;
        finished.push({ name, seconds });
        stop();
        progress.finish();
        progress.log(`${name}: done in ${formatSeconds(seconds)}`);
        return result;
      } catch (error) {
        stop();
        progress.finish();
        if (signal.aborted) throw error;
        const tail = console_();
        const screen =
          tail.length === 0
            ? ''
            : `\nlast lines of the serial console:\n${tail.map((line) => `  | ${line}`).join('\n')}`;
        throw new Failure('DEMO_STEP', `cannot finish the step "${name}": ${reasonOf(error)}${screen}`, {
          cause: error,
          hint: error instanceof Failure ? error.hint : undefined,
        });
      }
    },
    done: () => [...finished],
  };
}
