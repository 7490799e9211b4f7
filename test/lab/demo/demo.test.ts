import { describe, expect, test } from 'vitest';

import type { Progress } from '../../../cli/progress.ts';
import { Failure } from '../../../system/failure.ts';
import { residentBytes, timesOf } from './report.ts';
import { createSteps } from './steps.ts';
import { createTimeline, type ObservedNode, POWER_ON } from './timeline.ts';

function node(provision_state: string, info: Record<string, unknown> = {}): ObservedNode {
  return { provision_state, driver_internal_info: info };
}

const WRITING = { agent_last_heartbeat: 'x', agent_progress: { step: 'write_image' } };

/** A deployment as it is seen from outside, with the seconds at which it is looked at. */
function recorded() {
  let clock = 0;
  const timeline = createTimeline(() => clock * 1000);
  const at = (seconds: number, what: string | ObservedNode) => {
    clock = seconds;
    if (typeof what === 'string') timeline.mark(what);
    else timeline.observe(what);
  };
  at(1, node('manageable'));
  at(2, POWER_ON); // an inspection does not beat
  at(30, node('inspecting'));
  at(35, node('manageable'));
  at(40, POWER_ON);
  at(41, node('clean wait'));
  at(65, node('clean wait', { agent_last_heartbeat: 'x' }));
  at(70, node('available'));
  at(75, POWER_ON);
  at(99, node('wait call-back', WRITING));
  at(119, node('wait call-back', { agent_last_heartbeat: 'y' }));
  at(130, node('active'));
  return timeline;
}

describe('the timeline', () => {
  test('finds the start that led to the first heartbeat, and how long the image was written', () => {
    expect(timesOf(recorded(), 1000)).toMatchObject({
      powerOnToFirstHeartbeatSeconds: 25,
      imageWriteSeconds: 20,
      imageBytesPerSecond: 50,
    });
  });

  test('notes each change of state once', () => {
    const names = recorded()
      .moments()
      .map(({ name }) => name);
    expect(names.filter((name) => name === 'clean wait')).toHaveLength(1);
    expect(names.filter((name) => name === 'manageable')).toHaveLength(2);
    expect(names.at(-1)).toBe('active');
  });

  test('says that it does not know what it has not seen', () => {
    expect(
      timesOf(
        createTimeline(() => 0),
        1000,
      ),
    ).toMatchObject({
      powerOnToFirstHeartbeatSeconds: null,
      imageBytesPerSecond: null,
    });
  });
});

test("the agent's memory is the most that it ever had", () => {
  expect(
    residentBytes(['x resident memory 80.5 MB, at most 97.0 MB', 'noise', 'resident memory 70 MB, at most 90 MB']),
  ).toBe(97e6);
  expect(residentBytes(['noise'])).toBeNull();
});

describe('steps', () => {
  const silent: Progress = { update: () => undefined, log: () => undefined, finish: () => undefined };

  test('a failed step is named, with the reason, the hint and the end of the console', async () => {
    const steps = createSteps(silent, new AbortController().signal, () => ['Kernel panic', 'end']);
    await steps.run('one', async () => 1);
    const failing = steps.run('two', () => Promise.reject(new Failure('X', 'cannot do it: because', { hint: 'this' })));
    await expect(failing).rejects.toMatchObject({ hint: 'this', exitCode: 1 });
    await expect(failing).rejects.toThrow(
      /the step "two": cannot do it: because\n.*console:\n {2}\| Kernel panic\n {2}\| end$/s,
    );
    expect(steps.done().map(({ name }) => name)).toEqual(['one']);
  });

  test('nothing begins after an interruption, and its reason is what comes out', async () => {
    const stop = new AbortController();
    const steps = createSteps(silent, stop.signal, () => []);
    stop.abort(new Failure('INTERRUPTED', 'cannot go on', { exitCode: 130 }));
    await expect(steps.run('one', async () => 1)).rejects.toMatchObject({ exitCode: 130 });
  });
});
