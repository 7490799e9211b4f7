import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, sep } from 'node:path';

import type { Progress } from '../../cli/progress.ts';
import { reasonOf } from '../../system/failure.ts';
import { cliFailure } from './failures.ts';

/** Length in hexadecimal digits to algorithm. md5 is not here: it proves nothing. */
export const ALGORITHMS = { 64: 'sha256', 128: 'sha512' } as const;

/** The first four bytes of a qcow2 file (QEMU docs/interop/qcow2). */
const QCOW2_MAGIC = Buffer.from([0x51, 0x46, 0x49, 0xfb]);

/** @returns the URL under which the conductor serves a file, which must lie in its --http-root */
export async function servedUrl(file: string, info: { http_root: string | null; public_url: string }): Promise<string> {
  const { http_root: root, public_url: publicUrl } = info;
  const path = await realpath(file).catch((error: unknown) => {
    throw cliFailure('FILE_UNUSABLE', `--image ${file}: ${reasonOf(error)}`, {
      hint: 'give a file that exists, or an http or https URL',
    });
  });
  if (!(await stat(path)).isFile()) throw cliFailure('FILE_UNUSABLE', `--image ${file}: it is no file`);
  if (root === null) {
    throw cliFailure('IMAGE_NOT_SERVED', `${file}: the conductor serves no folder`, {
      hint: 'start ingot conductor with --http-root FOLDER, or give --image a URL',
    });
  }
  const inside = relative(await realpath(root).catch(() => root), path);
  if (inside === '' || inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    throw cliFailure('IMAGE_NOT_SERVED', `${file}: it is not in ${root}, the folder that the conductor serves`, {
      hint: `copy or hard-link it into ${root}, start ingot conductor with another --http-root, or give --image a URL`,
    });
  }
  return `${publicUrl}/images/${inside
    .split(sep)
    .map((part) => encodeURIComponent(part))
    .join('/')}`;
}

/** @returns 'qcow2' if the file says so in its first bytes, else 'raw' */
export async function formatOfFile(path: string): Promise<'qcow2' | 'raw'> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && buffer.equals(QCOW2_MAGIC) ? 'qcow2' : 'raw';
  } finally {
    await file.close();
  }
}

/** @param algorithm as Node's crypto names it. @returns lower-case hexadecimal */
export async function hashFile(
  path: string,
  algorithm: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash(algorithm);
  const { size: total } = await stat(path);
  let done = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, signal })) {
    hash.update(chunk as Buffer);
    done += (chunk as Buffer).length;
    progress.update({ phase: `${algorithm} of the image`, done, total, unit: 'bytes' });
  }
  return hash.digest('hex');
}
