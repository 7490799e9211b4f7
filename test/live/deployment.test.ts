import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { openHost } from '../../builder/host/system.ts';
import { createProgress } from '../../cli/progress.ts';
import { runDeployment } from '../lab/demo/deployment.ts';

const GIB = 2 ** 30;

// The demo's whole path with Ingot's own programs: build, boot, inspect, clean, deploy, reboot, SSH. With less memory than a
// server ever had, an image forty times as large, and with a conductor that dies in the middle.
test('a bare machine with 512 MiB comes up with its own operating system from an image of 20 GiB, although the conductor is killed while it is written', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-deploy-'));
  const controller = new AbortController();
  try {
    const report = await runDeployment({
      host: await openHost(),
      folder,
      memoryMiB: 512,
      imageVirtualBytes: 20 * GIB,
      killConductorWhileWriting: true,
      mirror: [],
      progress: createProgress('lines', { write: (text) => process.stdout.write(text) }),
      signal: controller.signal,
    });
    expect(report).toMatchObject({
      hostname: 'hello-from-metal',
      // Not the first disk.
      rootDisk: 'nvme0n1, serial LAB-NVME-2',
      conductorKilled: true,
      machineMemoryMiB: 512,
      imageVirtualBytes: 20 * GIB,
    });
    expect(report.kernelBytes + report.initramfsBytes).toBeLessThanOrEqual(60e6);
    expect(report.powerOnToFirstHeartbeatSeconds).toBeGreaterThan(0);
    expect(report.agentResidentBytes).toBeGreaterThan(0);
    expect(report.imageBytesPerSecond).toBeGreaterThan(0);
  } finally {
    controller.abort();
    await rm(folder, { recursive: true, force: true });
  }
});
