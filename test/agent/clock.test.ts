import { afterEach, describe, expect, test } from 'vitest';

import { setClock, setClockAtStart } from '../../agent/clock.ts';
import type { AgentOs, Exchange } from '../../agent/os/door.ts';
import { systemExchange } from '../../agent/os/datagram.ts';
import type { AgentParts } from '../../agent/parts.ts';
import { fakeOs, fakeRun } from '../fakes/agent-os.ts';
import { fakeClock } from '../fakes/clock.ts';
import { startUdpServer, timeAnswer } from '../fakes/time-server.ts';

let close: () => void = () => undefined;
afterEach(() => {
  close();
  close = () => undefined;
});

/** A machine whose time server is on loopback, at whatever port it asks for. */
async function machine(answer: Parameters<typeof startUdpServer>[0], run = fakeRun()): Promise<AgentOs> {
  const server = await startUdpServer(answer);
  close = server.close;
  const exchange: Exchange = ({ to, ...datagram }, accept, signal) => {
    expect(to).toEqual([{ host: 'ntp.example.org', port: 123 }]);
    const there = [{ host: '127.0.0.1', port: server.port }];
    return systemExchange({ ...datagram, timeoutMs: 300, to: there }, accept, signal);
  };
  return fakeOs({ clock: fakeClock(), run, exchange });
}

const START = Date.UTC(2026, 0, 1);
const ahead = (milliseconds: number) => (question: Uint8Array) =>
  timeAnswer(question, { arrived: START + milliseconds, left: START + milliseconds });

describe('the clock', () => {
  test('is set by the server that was named', async () => {
    const command = `date -u -s @${START / 1000 + 7200}`;
    const run = fakeRun({ [command]: '' });
    expect(await setClock(await machine(ahead(7_200_000), run), 'ntp.example.org')).toBe(
      'the clock was 7200.0 s behind, says ntp.example.org',
    );
    expect(run.calls).toEqual([command]);
  });

  test('that is right is left alone', async () => {
    const os = await machine(ahead(300));
    expect(await setClock(os, 'ntp.example.org')).toBe('the clock is right, says ntp.example.org');
  });

  test('is not set where the server is silent, refuses or is not known', async () => {
    await expect(setClock(await machine(() => undefined), 'ntp.example.org')).rejects.toThrow(
      'cannot set the clock by ntp.example.org: it does not answer within 4 s',
    );
    close();
    const refusing = (question: Uint8Array) => timeAnswer(question, { arrived: 0, left: 0, stratum: 0, code: 'DENY' });
    await expect(setClock(await machine(refusing), 'ntp.example.org')).rejects.toThrow('it refuses to answer (DENY)');
    const exchange = systemExchange;
    await expect(setClock(fakeOs({ exchange }), 'no-such-host.invalid')).rejects.toThrow(/no-such-host.invalid: .*E/);
  });

  test('keeps its wrong time when a program fails to set it, and says so', async () => {
    await expect(setClock(await machine(ahead(-60_000)), 'ntp.example.org')).rejects.toThrow('cannot run date');
  });
});

describe('at start', () => {
  function parts(os: AgentOs, config: Partial<AgentParts['config']>) {
    const said: string[] = [];
    const console = {
      log: (text: string) => said.push(text),
      status: (change: object) => said.push(JSON.stringify(change)),
    };
    const all = { os, config, console, signal: new AbortController().signal } as unknown as AgentParts;
    return { said, done: setClockAtStart(all) };
  }

  test('nothing is asked without a server', async () => {
    const { said, done } = parts(fakeOs(), { ntpServer: undefined });
    await done;
    expect(said).toEqual([]);
  });

  test('a failure is said and no more', async () => {
    const { said, done } = parts(await machine(() => undefined), {
      ntpServer: 'ntp.example.org',
      failIfClockNotSet: false,
    });
    await done;
    expect(said).toEqual([expect.stringContaining('cannot set the clock by ntp.example.org')]);
  });

  test('with fail_if_clock_not_set nothing goes on until there is an answer', async () => {
    let questions = 0;
    const late = (question: Uint8Array) => ((questions += 1) > 4 ? ahead(20_000)(question) : undefined);
    const { said, done } = parts(await machine(late), { ntpServer: 'ntp.example.org', failIfClockNotSet: true });
    await done;
    expect(questions).toBe(5);
    expect(said.filter((text) => text.includes('waiting for the time'))).toHaveLength(2);
    expect(said.at(-1)).toBe('the clock is right, says ntp.example.org');
  });
});
