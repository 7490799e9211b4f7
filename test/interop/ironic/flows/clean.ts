import { open } from 'node:fs/promises';

import type { Facts } from '../flows.ts';
import { NODE } from '../names.ts';
import type { World } from '../world.ts';
import { PATIENCE } from './inspect.ts';
import { mustBe, mustBeIn } from './must.ts';

const GPT_SIGNATURE = 'EFI PART';

/** Whether a disk has a GPT, by its header in the second sector and the spare one in the last. */
async function hasTable(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    for (const position of [512, size - 512]) {
      const { buffer } = await file.read(Buffer.alloc(8), 0, 8, position);
      if (buffer.toString('latin1') === GPT_SIGNATURE) return true;
    }
    return false;
  } finally {
    await file.close();
  }
}

/** Which of the disks have a partition table. */
export async function tables({ disks }: World): Promise<boolean[]> {
  return Promise.all(disks.map(({ path }) => hasTable(path)));
}

export async function clean(world: World): Promise<Facts> {
  mustBe('partition tables before', await tables(world), [true, true]);
  await world.client.run('node', 'provide', NODE, ...PATIENCE);
  await mustBeIn(world, 'available');
  mustBe('partition tables after', await tables(world), [false, false]);
  return { disksErased: world.disks.length };
}
