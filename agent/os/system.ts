import { hostname, networkInterfaces, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { systemFilter } from '../../system/filter.ts';
import { systemFollow } from '../../system/follow.ts';
import { systemRun, systemRunBytes } from '../../system/run.ts';
import { openBlockDevice } from './block-device.ts';
import { systemExchange } from './datagram.ts';
import type { AgentOs, Clock, NetworkAddress } from './door.ts';
import { systemFiles } from './files.ts';
import { openRegularFile } from './regular-file.ts';

const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (milliseconds, signal) => {
    signal?.throwIfAborted();
    try {
      await sleep(milliseconds, undefined, signal && { signal });
    } catch (error) {
      signal?.throwIfAborted(); // the signal's own reason, not Node's AbortError
      throw error;
    }
  },
};

function addresses(): NetworkAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? []).map((entry) => ({
      interface: name,
      address: entry.address,
      family: entry.family === 'IPv6' ? (6 as const) : (4 as const),
      mac: entry.mac,
      internal: entry.internal,
      ...(entry.family === 'IPv6' && { scopeId: entry.scopeid }),
    })),
  );
}

/** The machine that the agent runs on. */
export function systemOs(): AgentOs {
  return {
    run: systemRun,
    runBytes: systemRunBytes,
    follow: systemFollow,
    filter: systemFilter,
    files: systemFiles,
    clock: systemClock,
    addresses,
    exchange: systemExchange,
    hostname,
    totalMemoryBytes: totalmem,
    openDevice: (path, mode) => openBlockDevice(path, mode),
    openFile: openRegularFile,
  };
}
