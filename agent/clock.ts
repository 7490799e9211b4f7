import { defineFailures, reasonOf } from '../system/failure.ts';
import { readTimeAnswer, timeQuestion } from './ironic/sntp.ts';
import { errorText } from './join.ts';
import type { AgentOs } from './os/door.ts';
import type { AgentParts } from './parts.ts';

export const clockFailure = defineFailures({
  NO_TIME: {
    message: (detail) => `cannot set the clock by ${detail}`,
    hint: 'check ipa-ntp-server and the way to it (UDP port 123)',
  },
});

type ClockOs = Pick<AgentOs, 'run' | 'clock' | 'exchange'>;

const NTP_PORT = 123;
const ATTEMPTS = 2;
const TIMEOUT_MS = 4000;
/** Programs set whole seconds; a clock that is righter than that is left alone. */
const LEAST_STEP_MS = 1000;
const RETRY_SECONDS = 10;

/** @returns milliseconds by which the own clock is behind; @throws Error with the reason why that is not known */
async function askOffset(os: ClockOs, server: string, signal: AbortSignal | undefined): Promise<number> {
  const message = timeQuestion();
  const sent = os.clock.now();
  const answer = await os.exchange(
    { message, to: [{ host: server, port: NTP_PORT }], timeoutMs: TIMEOUT_MS },
    (bytes) => readTimeAnswer(bytes, message, sent, os.clock.now()),
    signal,
  );
  if (answer === undefined) throw new Error(`it does not answer within ${TIMEOUT_MS / 1000} s`);
  if ('reason' in answer) throw new Error(answer.reason);
  return answer.offsetMs;
}

/**
 * Sets the clock by a time server. (IPA starts chronyd or ntpdate for it, which a small ramdisk does not have; busybox's
 * ntpd is not in Debian's busybox.)
 * @returns what was done, for the log
 * @throws Failure `NO_TIME`
 */
export async function setClock(os: ClockOs, server: string, signal?: AbortSignal): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const offset = await askOffset(os, server, signal);
      if (Math.abs(offset) < LEAST_STEP_MS) return `the clock is right, says ${server}`;
      await os.run('date', ['-u', '-s', `@${Math.round((os.clock.now() + offset) / 1000)}`], { timeoutMs: 10_000 });
      return `the clock was ${(Math.abs(offset) / 1000).toFixed(1)} s ${offset > 0 ? 'behind' : 'ahead'}, says ${server}`;
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt === ATTEMPTS) throw clockFailure('NO_TIME', `${server}: ${reasonOf(error)}`, { cause: error });
    }
  }
}

/** The clock at start; where `fail_if_clock_not_set` says so, nothing goes on without it. */
export async function setClockAtStart({ os, config, console, signal }: AgentParts): Promise<void> {
  const { ntpServer } = config;
  if (ntpServer === undefined) return undefined;
  for (;;) {
    try {
      return console.log(await setClock(os, ntpServer, signal));
    } catch (error) {
      signal.throwIfAborted();
      if (!config.failIfClockNotSet) return console.log(errorText(error));
      console.status({ state: 'waiting for the time (fail_if_clock_not_set)', error: errorText(error) });
      await os.clock.sleep(RETRY_SECONDS * 1000, signal);
    }
  }
}
