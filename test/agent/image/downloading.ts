import { AgentError } from '../../../agent/api/errors.ts';
import type { HttpOptions } from '../../../agent/image/http-request.ts';
import { openHttpSource } from '../../../agent/image/http-source.ts';
import { type FakeClock, fakeClock } from '../../fakes/clock.ts';

export const OPTIONS: HttpOptions = {
  timeoutMs: 5000,
  retries: 2,
  retryIntervalMs: 10,
  tls: { rejectUnauthorized: true },
};

/** The whole of a file, as a raw image is read: its first bytes, then all in order. */
export async function download(
  url: string,
  options: Partial<HttpOptions> = {},
  clock: FakeClock = fakeClock(),
): Promise<Buffer> {
  const { signal } = new AbortController();
  const source = await openHttpSource(url, { ...OPTIONS, ...options }, clock, signal);
  try {
    const parts: Uint8Array[] = [];
    for await (const bytes of source.stream(signal)) parts.push(Buffer.from(bytes));
    return Buffer.concat(parts);
  } finally {
    await source.close();
  }
}

/** The details of the AgentError that a download must end with. */
export async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof AgentError) return error.details;
  throw error ?? new Error('the download came to a good end');
}
