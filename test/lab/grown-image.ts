import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { Tools } from '../../machine/tools.ts';
import { describeForm, type UserImage } from './user-image.ts';

/** The same system as a qcow2 image of a larger disk: what is behind it reads as zeros and is not in the file. */
export async function growImage(
  image: UserImage,
  options: { virtualBytes: number; folder: string; tools: Tools; signal: AbortSignal },
): Promise<UserImage> {
  const { virtualBytes, folder, tools, signal } = options;
  const path = join(folder, 'grown.qcow2');
  await mkdir(folder, { recursive: true });
  await copyFile(image.qcow2.path, path);
  await tools.run('/usr/bin/qemu-img', ['resize', '-f', 'qcow2', path, String(virtualBytes)], { signal });
  return { ...image, qcow2: { path, ...(await describeForm(path)) }, virtualBytes };
}
