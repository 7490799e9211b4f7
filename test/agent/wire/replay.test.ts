import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { AgentOs } from '../../../agent/os/door.ts';
import type { AgentParts } from '../../../agent/parts.ts';
import { realHardware } from '../../../agent/start.ts';
import { fakeOs, fakeRun } from '../../fakes/agent-os.ts';
import { fastClock } from '../../fakes/clock.ts';
import { type ImageServer, startImageServer } from '../../fakes/image-server.ts';
import { machineOs } from '../../fakes/machine.ts';
import { type Exchange, type RecordedIronic, startRecordedIronic } from '../../fakes/recorded-ironic.ts';
import { makeDiskImage, TwoDisks } from '../../fakes/two-disks.ts';
import { sha256 } from '../image/delivery.ts';
import { compare, unexplained } from './compare.ts';
import { FROM_IPA } from './differences.ts';
import { callAgent, recording, type Replay, replay } from './replay.ts';
import { isRoot, ownNetwork, requestId, startReplayedAgent } from './replayed-agent.ts';

const MIB = 1024 ** 2;

let ironic: RecordedIronic;
let stateDirectory: string;
let cleanUp: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  ironic = await startRecordedIronic();
  stateDirectory = await mkdtemp(join(tmpdir(), 'ingot-replay-'));
});
afterEach(async () => {
  for (const work of cleanUp.toReversed()) await work();
  cleanUp = [];
  await ironic.close();
  await rm(stateDirectory, { recursive: true });
});

async function start(cmdline: string, os: AgentOs, hardware: Partial<AgentParts['hardware']> = {}): Promise<void> {
  cleanUp.push(await startReplayedAgent({ cmdline, os, stateDirectory, hardware }));
}

const used = new Set<RegExp>();
/** What differs from the recording and is not in the table of differences. */
function news({ differences }: Pick<Replay, 'differences'>): string[] {
  for (const { at, what } of differences)
    for (const row of FROM_IPA) if (row.what.includes(what) && row.where.test(at)) used.add(row.where);
  return unexplained(differences, FROM_IPA);
}

const clock = () => fastClock(100);

describe('what ironic-python-agent and Ironic 29 said to each other, said to this agent', { timeout: 60_000 }, () => {
  test('inspection', async () => {
    const exchanges = recording('ipa-inspection');
    const os = { ...machineOs('qemu-q35-trixie'), clock: clock() };
    const url = `ipa-inspection-callback-url=${ironic.url}/v1/continue_inspection`;
    await start(`${url} ${requestId(exchanges)}`, os, realHardware(os, { bootInterface: undefined }, ownNetwork(os)));
    expect(news(await replay(exchanges, ironic, () => false))).toEqual([]);
  });

  test('a lookup that is refused until the node may be looked up', async () => {
    const exchanges = recording('ipa-lookup-refused');
    await start(`ipa-api-url=${ironic.url}`, fakeOs({ clock: clock() }), { macs: async () => ['52:54:00:11:22:33'] });
    expect(news(await replay(exchanges, ironic, () => false))).toEqual([]);
  });

  test('automated cleaning', async () => {
    const exchanges = recording('ipa-cleaning');
    const disks = new TwoDisks();
    await disks.start();
    // A disk that is smaller than it says would fail the step: it hides sectors.
    [disks.rootBytes, disks.spareBytes] = [12 * MIB, 4 * MIB];
    cleanUp.push(() => disks.stop());
    // Slow enough that no regular beat comes while the step runs, as in the recording.
    await start(`ipa-api-url=${ironic.url} ${requestId(exchanges)}`, { ...disks.os(), clock: fastClock(8) });
    const replayed = await replay(exchanges, ironic, isRoot);
    expect(news(replayed)).toEqual([]);
    expect(replayed.extra).toEqual([]);
    const content = await disks.disk('/dev/vda').content();
    expect(content.subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true);
  });

  describe('deployment', () => {
    let image: Buffer;
    let server: ImageServer;
    let disks: TwoDisks;
    const programs = fakeRun({ sync: '', poweroff: '', 'hwclock -w -u': '' });
    const replaced = () => ({
      'http://10.0.2.2:8080/small.raw': server.url,
      d8fab27968ed0d4b6c1a037f8490193cbc31771ff20c49a3bb252f0e7ae9f3bf: sha256(image),
    });

    beforeEach(async () => {
      image = await makeDiskImage();
      server = await startImageServer(() => ({ content: image }));
      disks = new TwoDisks();
      await disks.start();
      disks.spareBytes = 2 * 1024 * MIB; // too small for an image: there is one root disk
      disks.others = programs;
      cleanUp.push(server.close, () => disks.stop());
    });

    test('of a raw image until the machine is powered off', async () => {
      const exchanges = recording('ipa-deployment', replaced());
      // Slow enough that no regular beat comes while the image is written, as in the recording.
      await start(`ipa-api-url=${ironic.url} ${requestId(exchanges)}`, { ...disks.os(), clock: fastClock(8) });
      expect(news(await replay(exchanges, ironic, isRoot))).toEqual([]);
      const content = await disks.disk('/dev/vda').content();
      expect(content.subarray(MIB, 7 * MIB).equals(image.subarray(MIB, 7 * MIB))).toBe(true);
      expect(programs.calls).toContain('poweroff');
    });

    test('with a wrong checksum', async () => {
      const step = recording('ipa-deployment', replaced())[5] as Exchange;
      // The conductor spoke TLS to the agent there, so that its side could not be recorded: it sent the step of the other deployment.
      const text = JSON.stringify(step.requestBody).replace(sha256(image), '0'.repeat(64));
      const exchanges = recording('ipa-deployment-wrong-checksum', replaced());
      const token = new URL(step.path, 'http://agent').searchParams.get('agent_token') ?? '';
      const { agent_token: own } = (exchanges[2] as Exchange).requestBody as { agent_token: string };
      exchanges.splice(3, 0, {
        ...step,
        path: step.path.replace(token, own),
        requestBody: JSON.parse(text) as unknown,
      });
      await start(`ipa-api-url=${ironic.url} ${requestId(exchanges)}`, { ...disks.os(), clock: clock() });
      const replayed = await replay(exchanges, ironic, isRoot);
      expect(news(replayed)).toEqual([]);
      // An image with a wrong checksum is fetched once more before it is given up.
      await vi.waitFor(
        async () => {
          const list = await callAgent(replayed.beat as never, 'GET', `/v1/commands/?agent_token=${own}`, null);
          expect(list.body).toMatchObject({
            commands: [{ command_status: 'FAILED', command_error: { type: 'ImageChecksumError', code: 500 } }],
          });
        },
        { timeout: 20_000, interval: 200 },
      );
    });
  });

  test('requests that are in error', async () => {
    const exchanges = recording('ipa-cleaning').slice(0, 3);
    await start(`ipa-api-url=${ironic.url} ${requestId(exchanges)}`, fakeOs({ clock: clock() }));
    const { beat } = await replay(exchanges, ironic, isRoot);
    const errors = recording('ipa-errors').map((exchange) => ({
      ...exchange,
      // What follows an answer is the same wherever the agent listens.
      responseBody: JSON.parse(
        JSON.stringify(exchange.responseBody).replaceAll('https://127.0.0.1:9999', beat?.callback_url ?? ''),
      ) as unknown,
    }));
    const differences = [];
    for (const [index, exchange] of errors.entries()) {
      const answer = await callAgent(beat as never, exchange.method, exchange.path, exchange.requestBody);
      const at = `${index + 1} ${exchange.method} ${exchange.path.replace(/agent_token=replayed-\w+/, 'agent_token=TOKEN')}`;
      differences.push(...compare(`${at} status`, exchange.status, answer.status));
      if (typeof exchange.responseBody !== 'string')
        differences.push(...compare(`${at} answer`, exchange.responseBody, answer.body));
    }
    expect(news({ differences })).toEqual([]);
  });

  test('and no row of the table of differences is of the past', () => {
    expect(FROM_IPA.filter(({ where }) => !used.has(where)).map(({ why }) => why)).toEqual([]);
  });
});
