import type { AgentOs, Clock } from '../os/door.ts';

/**
 * The time of day as it was when the step began, and from then on by the clock that never jumps: somebody who sets the machine's clock
 * in the middle of an erase must not make its evidence contradict itself.
 */
function steadyClock(clock: Clock): Clock {
  const offset = clock.now() - clock.monotonic();
  return { ...clock, now: () => offset + clock.monotonic() };
}

/** The machine, with a clock for one step of erasing. */
export function withSteadyClock(os: AgentOs): AgentOs {
  return { ...os, clock: steadyClock(os.clock) };
}
