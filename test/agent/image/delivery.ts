import { createHash } from 'node:crypto';

import { type DeliveredImage, deliverImage } from '../../../agent/image/deliver.ts';
import type { HttpOptions } from '../../../agent/image/http-request.ts';
import { readImageInfo } from '../../../agent/image/request.ts';
import type { CommandProgress } from '../../../agent/api/command.ts';
import type { BlockDevice } from '../../../agent/os/door.ts';
import { openRegularFile } from '../../../agent/os/regular-file.ts';
import { systemFilter } from '../../../system/filter.ts';
import { fakeClock } from '../../fakes/clock.ts';

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export type Delivered = { wiped: number; progress: CommandProgress[] };

/** Delivers an image as `write_image` does, with short times; `info` is added to image_info. */
export async function deliver(
  url: string | readonly string[],
  device: BlockDevice,
  info: Record<string, unknown>,
  options: {
    signal?: AbortSignal;
    timeoutMs?: number;
    retries?: number;
    wipe?: () => Promise<void>;
    fileFolders?: readonly string[];
    tls?: HttpOptions['tls'];
  } = {},
): Promise<DeliveredImage & Delivered> {
  let wiped = 0;
  const progress: CommandProgress[] = [];
  const written = await deliverImage({
    request: readImageInfo({ id: 'image', urls: [url].flat(), ...info }, false),
    options: {
      http: {
        timeoutMs: options.timeoutMs ?? 5000,
        retries: options.retries ?? 2,
        retryIntervalMs: 10,
        tls: options.tls ?? { rejectUnauthorized: true },
      },
      isMd5Allowed: false,
      maxDurationMs: 0,
      fileFolders: options.fileFolders,
    },
    os: { clock: fakeClock(), openFile: openRegularFile, filter: systemFilter },
    device,
    wipe: async () => {
      wiped++;
      await options.wipe?.();
    },
    progress: (update) => progress.push(update),
    signal: options.signal ?? new AbortController().signal,
  });
  return { ...written, wiped, progress };
}
