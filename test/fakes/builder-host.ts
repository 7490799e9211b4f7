import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openCache } from '../../builder/host/cache.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { systemRun, systemStart } from '../../system/run.ts';

/** A builder's host with a cache of its own; what is not given fails when it is used. */
export async function fakeBuilderHost(parts: Partial<BuilderHost> = {}): Promise<BuilderHost & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-test-cache-'));
  return {
    run: (file) => Promise.reject(new Error(`nothing runs ${file} in this test`)),
    start: systemStart,
    fetchBytes: (url) => {
      throw new Error(`nothing fetches ${url} in this test`);
    },
    cache: await openCache(folder),
    offline: false,
    ...parts,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A builder's host that runs programs for real. */
export function realBuilderHost(): Promise<BuilderHost & AsyncDisposable> {
  return fakeBuilderHost({ run: systemRun });
}
