import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { basename } from 'node:path';

import { reasonOf } from '../../system/failure.ts';
import type { BuilderHost, Download } from './door.ts';
import { hostFailure } from './failures.ts';

const ATTEMPTS = 3;
/** How many missing packages an error names. */
const SHOWN = 5;

async function downloadTo(
  host: BuilderHost,
  item: Download,
  path: string,
  signal: AbortSignal,
  onBytes: (count: number) => void,
) {
  const hash = createHash('sha256');
  let received = 0;
  const file = await open(path, 'w');
  try {
    for await (const piece of host.fetchBytes(item.url, signal)) {
      hash.update(piece);
      received += piece.byteLength;
      onBytes(piece.byteLength);
      await file.writeFile(piece);
    }
  } catch (error) {
    onBytes(-received);
    throw error;
  } finally {
    await file.close();
  }
  const digest = hash.digest('hex');
  if (received === item.sizeBytes && digest === item.sha256) return;
  onBytes(-received);
  throw hostFailure(
    'WRONG_DIGEST',
    `${item.url} has ${received} bytes and SHA-256 ${digest}, the signed package list says ${item.sizeBytes} bytes and ${item.sha256}`,
  );
}

async function withRetries(attempt: () => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let n = 1; ; n += 1) {
    try {
      return await attempt();
    } catch (error) {
      const code = (error as { code?: string }).code;
      if (n === ATTEMPTS || signal.aborted || (code !== 'DOWNLOAD_FAILED' && code !== 'WRONG_DIGEST')) throw error;
    }
  }
}

/** Runs `work` on all items, at most `limit` at a time; the first failure stops the rest through their signal. */
export async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const results: R[] = [];
  const queue = items.entries();
  let failure: { error: unknown } | undefined;
  const worker = async () => {
    for (const [index, item] of queue) {
      if (both.aborted) return;
      try {
        results[index] = await work(item, both);
      } catch (error) {
        failure ??= { error };
        stop.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  signal.throwIfAborted();
  if (failure) throw failure.error;
  return results;
}

const nameOf = ({ url }: Download) => basename(new URL(url).pathname);

/** A mirror that went away in the middle: what is still to come, and that what has come is kept. */
async function explainMissing(host: BuilderHost, items: readonly Download[], error: unknown): Promise<unknown> {
  if ((error as { code?: string }).code !== 'DOWNLOAD_FAILED') return error;
  const missing = await notDownloaded(host, items);
  const shown = missing.slice(0, SHOWN).map(nameOf);
  const more = missing.length > SHOWN ? ` and ${missing.length - SHOWN} more` : '';
  const reason = reasonOf(error).replace(/^cannot download /, '');
  return hostFailure(
    'DOWNLOAD_FAILED',
    `${reason}\n${missing.length} of ${items.length} packages are missing: ${shown.join(', ')}${more}`,
    {
      cause: error,
      hint: 'run it again when the mirror can be reached, or with another --mirror: what was fetched is kept',
    },
  );
}

const isLocal = (url: string) => /^(file|copy):/.test(url);

/** Those of the files that the cache does not have. */
export async function notDownloaded<T extends Download>(host: BuilderHost, items: readonly T[]): Promise<T[]> {
  const found = await Promise.all(
    items.map((one) =>
      stat(host.cache.path('downloads', one.sha256)).then(
        () => true,
        () => false,
      ),
    ),
  );
  return items.filter((_, index) => !found[index]);
}

/** Says at once all that is missing, instead of failing on the first. */
async function checkOffline(host: BuilderHost, items: readonly Download[]): Promise<void> {
  if (!host.offline) return;
  const missing = (await notDownloaded(host, items)).filter((one) => !isLocal(one.url));
  if (missing.length === 0) return;
  const names = missing.map((one) => `  ${nameOf(one)}`);
  throw hostFailure('OFFLINE', `${missing.length} packages are not in the cache:\n${names.join('\n')}`);
}

/**
 * Brings files into the cache, several at a time, and checks each against its digest before it gets its name there.
 * @param onBytes running sum of received bytes; cached files count at once
 * @returns the paths, in the order of the items
 */
export async function downloadAll(
  host: BuilderHost,
  items: readonly Download[],
  options: { signal: AbortSignal; onBytes: (received: number) => void },
): Promise<string[]> {
  await checkOffline(host, items);
  let received = 0;
  const count = (bytes: number) => options.onBytes((received += bytes));
  return inParallel(items, 4, options.signal, async (item, signal) => {
    let fetched = false;
    const path = await host.cache.file('downloads', item.sha256, async (temporary) => {
      fetched = true;
      await withRetries(() => downloadTo(host, item, temporary, signal, count), signal);
    });
    if (!fetched) count(item.sizeBytes);
    return path;
  }).catch(async (error: unknown) => {
    options.signal.throwIfAborted();
    throw await explainMissing(host, items, error);
  });
}
