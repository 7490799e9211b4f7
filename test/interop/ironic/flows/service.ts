import type { Facts } from '../flows.ts';
import { NODE } from '../names.ts';
import type { World } from '../world.ts';
import { logIn, settle } from './deploy.ts';
import { PATIENCE } from './inspect.ts';
import { mustBe, mustBeIn } from './must.ts';

/**
 * The plug-in of docs/steps.md, which the ramdisk has. It asks for a reboot after it; Ironic 29 does not know that of steps which
 * somebody names (the list of steps that it goes by has no `reboot_requested` then), and goes straight on to the system.
 */
const STEP = { interface: 'deploy', step: 'update_acme_firmware', args: { version: '2.1' } };

/** A step in the ramdisk of a machine that is in use, and back to its system. */
export async function service(world: World): Promise<Facts> {
  const { client, machine } = world;
  await settle(world);
  let starts = 0;
  machine.onPower((event) => {
    if (event === 'on') starts += 1;
  });
  const said: string[] = [];
  machine.serial.onLine((line) => {
    if (/firmware/.test(line)) said.push(line);
  });
  await client.run('node', 'service', NODE, '--service-steps', JSON.stringify([STEP]), ...PATIENCE);
  await mustBeIn(world, 'active');
  mustBe(
    'the step said what it does on the console',
    said.some((line) => line.includes('write firmware')),
    true,
  );
  mustBe('starts of the machine (for the step, and of its own system)', starts, 2);
  const system = await logIn(world);
  return { ...system, step: STEP.step, starts };
}
