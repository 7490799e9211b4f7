import { writeFile } from 'node:fs/promises';

import { inParallel } from '../../agent/erase/in-parallel.ts';
import { overwriteDisk } from '../../agent/erase/overwrite.ts';
import type { EraseSettings } from '../../agent/erase/settings.ts';
import { systemOs } from '../../agent/os/system.ts';

/**
 * A process of its own: `node overwrite.ts COSTS zeros|pattern COUNT DISK...` overwrites disks as the agent's step does, COUNT at a
 * time, with the note of how far it is; without canaries and reading back, which no other has either. COSTS gets what that has cost as
 * JSON: in a ramdisk the agent is running already, so the start of Node belongs to nobody's erase.
 */
const [costs = '', kind = '', count = '', ...disks] = process.argv.slice(2);
const seed = process.env['SEED'] ?? '';

const SETTINGS: EraseSettings = {
  agent_erase_devices_iterations: kind === 'pattern' ? 1 : 0,
  agent_erase_devices_zeroize: kind === 'zeros',
  agent_continue_if_secure_erase_failed: false,
  agent_enable_nvme_secure_erase: true,
  agent_enable_ata_secure_erase: true,
  agent_erase_skip_read_only: false,
  disk_erasure_concurrency: Number(count),
  verify_share: 0,
  method: null,
};

const os = systemOs();
const used = process.cpuUsage();
const started = performance.now();
await inParallel(disks, Number(count), async (path) => {
  const device = await os.openDevice(path, 'write');
  try {
    const { written } = await overwriteDisk(
      {
        settings: SETTINGS,
        seed,
        nonce: 'bench',
        canaries: false,
        signal: new AbortController().signal,
        progress: () => undefined,
        disk: { disk: { serial: null } },
        os,
      },
      device,
      undefined,
    );
    if (!written?.direct || written.unwritable.length > 0)
      throw new Error(`${path} was not overwritten past the page cache, or not all of it`);
  } finally {
    await device.close();
  }
});
const { user, system } = process.cpuUsage(used);
const cost = { wallSeconds: (performance.now() - started) / 1000, processorSeconds: (user + system) / 1e6 };
await writeFile(costs, JSON.stringify(cost));
