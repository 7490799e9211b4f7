import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterEach, describe, expect, test } from 'vitest';

import { createIronicClient } from '../../../agent/ironic/client.ts';
import { createHeartbeat } from '../../../agent/ironic/heartbeat.ts';
import { createHttp } from '../../../agent/ironic/http.ts';
import { systemOs } from '../../../agent/os/system.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { type ImageServer, startImageServer } from '../../fakes/image-server.ts';
import { NODE_UUID, startFakeIronic } from '../../fakes/ironic.ts';
import { makeQcow2 } from '../../fakes/qcow2.ts';
import { makeDiskImage } from '../../fakes/two-disks.ts';
import { deliver, sha256 } from '../image/delivery.ts';

const MIB = 1024 ** 2;
const disks: DiskFile[] = [];
let server: ImageServer | undefined;
afterEach(async () => {
  for (const disk of disks.splice(0)) await disk.close();
  await server?.close();
});

async function disk(sizeBytes: number): Promise<DiskFile> {
  const made = await makeDiskFile(sizeBytes);
  disks.push(made);
  return made;
}

describe('a disk that takes all the writing it can', () => {
  test('leaves the names of hosts and small files their turn', async () => {
    const { device } = await disk(64 * MIB);
    const block = Buffer.alloc(4 * MIB, 7);
    let done = 0;
    const writes = Array.from({ length: 64 }, async (_, index) => {
      await device.write(block, (index % 16) * 4 * MIB);
      done += 1;
    });
    // All are asked for by now. Behind them in one queue, these would be served after the last of them.
    await Promise.all([lookup('localhost'), readFile('/proc/self/stat')]);
    expect(done).toBeLessThan(32);
    await Promise.all(writes);
    expect(done).toBe(64);
  });

  test(
    'does not keep the heartbeat from its interval, nor the loop from anything for long',
    { timeout: 120_000 },
    async () => {
      const ironic = await startFakeIronic();
      const controller = new AbortController();
      const api = createIronicClient({
        urls: [ironic.url.replace('127.0.0.1', 'localhost')],
        http: createHttp({ tls: { rejectUnauthorized: true }, timeoutMs: 30_000 }),
      });
      const INTERVAL_SECONDS = 0.1;
      const heartbeat = createHeartbeat({
        send: (signal) =>
          api.heartbeat(NODE_UUID, { callback_url: 'https://x:1', agent_token: 't', agent_version: '1.0.0' }, signal),
        timeoutSeconds: INTERVAL_SECONDS / 0.3,
        clock: systemOs().clock,
        random: () => 0,
        signal: controller.signal,
        onBeat: () => undefined,
      });
      const beats = () => ironic.seen.filter(({ path }) => path.startsWith('/v1/heartbeat/')).length;
      const running = heartbeat.run();
      /** Beats a second while the work runs. */
      const rate = async (work: () => Promise<unknown>): Promise<number> => {
        const [start, before] = [performance.now(), beats()];
        await work();
        return (beats() - before) / ((performance.now() - start) / 1000);
      };
      const idle = await rate(() => new Promise((resolve) => setTimeout(resolve, 2000)));

      // Everything at once that the agent does to bytes: fetch, unpack, hash, write.
      const guest = Buffer.concat([await makeDiskImage(), Buffer.alloc(88 * MIB)]);
      for (let at = 9 * MIB; at < guest.length; at += 4096) guest.writeUInt32LE(at, at);
      const image = makeQcow2({ guest, clusterBits: 16, version: 3, compression: 'zlib', compressed: 0.5, seed: 5 });
      const { url } = (server = await startImageServer(() => ({ content: image })));
      const target = await disk(128 * MIB);
      const info = { disk_format: 'qcow2', os_hash_algo: 'sha256', os_hash_value: sha256(image) };
      const delay = monitorEventLoopDelay({ resolution: 5 });
      delay.enable();
      const busy = await rate(async () => {
        const end = performance.now() + 2000;
        do await deliver(url, target.device, info);
        while (performance.now() < end);
      });
      delay.disable();
      controller.abort(new Error('stopped by the test'));
      await running;
      await ironic.close();
      expect(idle).toBeGreaterThan(0);
      expect(busy / idle).toBeGreaterThan(0.5);
      // Real intervals are 90 s and more: even the longest silence here is a small part of a hundredth of one.
      expect(delay.max / 1e9).toBeLessThan((0.3 * 300) / 100);
    },
  );
});
