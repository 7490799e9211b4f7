import { randomBytes } from 'node:crypto';

import { logInOnConsole } from '../../../lab/conducted.ts';
import type { Facts } from '../flows.ts';
import { NODE } from '../names.ts';
import type { World } from '../world.ts';
import { logIn, settle } from './deploy.ts';
import { PATIENCE } from './inspect.ts';
import { mustBe, mustBeIn } from './must.ts';

/** `$((…))`, so that the answer is not in what was typed. */
const WHO_AM_I = 'echo "i am $USER with $(id -u), $(ls /dev/nvme0n1p2) and $((6 * 7))"';

/** Rescue, somebody who logs in with the password, and back to the system that was there before. */
export async function rescue(world: World): Promise<Facts> {
  const { client, machine } = world;
  const password = randomBytes(9).toString('base64url');
  await settle(world);
  await client.run('node', 'rescue', NODE, '--rescue-password', password, ...PATIENCE);
  await mustBeIn(world, 'rescue');
  const [, user, id] = await logInOnConsole(
    machine,
    { user: 'rescue', password },
    WHO_AM_I,
    /i am (\w+) with (\d+), \/dev\/nvme0n1p2 and 42/,
  );
  mustBe('who was let in', [user, id], ['rescue', '0']);
  await client.run('node', 'unrescue', NODE, ...PATIENCE);
  await mustBeIn(world, 'active');
  return logIn(world);
}
