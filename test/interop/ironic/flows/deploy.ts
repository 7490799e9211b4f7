import { sshWhenReady } from '../../../lab/ssh.ts';
import { USER_NAME } from '../../../lab/user-image-recipe.ts';
import type { ImageForm } from '../../../lab/user-image.ts';
import type { Facts } from '../flows.ts';
import { IMAGES, NODE, PORTS, ROOT_DISK_SERIAL } from '../names.ts';
import type { World } from '../world.ts';
import { tables } from './clean.ts';
import { PATIENCE } from './inspect.ts';
import { mustBe, mustBeIn } from './must.ts';

const SSH_TIMEOUT_SECONDS = 600;

/** What the deployed system says of itself: its host name, and the serial number of the disk under its root file system. */
const WHO_ARE_YOU =
  'hostname; disk=$(lsblk -ndo PKNAME "$(findmnt -no SOURCE /)"); lsblk -dno SERIAL "/dev/$disk"; ls -d /sys/firmware/efi';

/** Logs in to the system that was deployed. @returns what it says of itself */
export async function logIn({ run, signal, key, deployed: { hostname } }: World): Promise<Facts> {
  const target = { port: PORTS.ssh, user: USER_NAME, key };
  const answer = await sshWhenReady(target, WHO_ARE_YOU, { run, signal, timeoutSeconds: SSH_TIMEOUT_SECONDS });
  const [name, disk, firmware] = answer.trim().split('\n');
  mustBe("the system's host name", name, hostname);
  mustBe('the disk that it runs from', disk, ROOT_DISK_SERIAL);
  mustBe('its firmware', firmware, '/sys/firmware/efi');
  return { hostname, rootDisk: ROOT_DISK_SERIAL };
}

/**
 * Waits until the first boot has done all that it does, and has it on the disk: Ironic pulls the plug, and a system that was just made
 * would come back without its host keys.
 */
export async function settle({ run, signal, key }: World): Promise<void> {
  const target = { port: PORTS.ssh, user: USER_NAME, key };
  // Exit code 2 is for deprecated settings, which Debian's own are.
  const command = 'cloud-init status --wait >/dev/null || [ $? = 2 ]; sync';
  await sshWhenReady(target, command, { run, signal, timeoutSeconds: SSH_TIMEOUT_SECONDS });
}

async function deploy(world: World, form: ImageForm, format: 'qcow2' | 'raw'): Promise<Facts> {
  const { client, plan, key } = world;
  const hostname = `interop-${format}`;
  world.deployed.hostname = hostname;
  const info = {
    image_source: `${IMAGES}/given/user.${format}`,
    image_disk_format: format,
    image_os_hash_algo: 'sha512',
    image_os_hash_value: form.sha512,
  };
  const pairs = Object.entries(info).flatMap(([name, value]) => ['--instance-info', `${name}=${value}`]);
  await client.run('node', 'set', NODE, ...pairs);
  mustBe('parent_node (a bug of the package, which the tree patches)', (await client.node())?.parent_node, null);
  const configDrive = { meta_data: { hostname, public_keys: { interop: key.publicText } } };
  await client.run('node', 'deploy', NODE, '--config-drive', JSON.stringify(configDrive), ...PATIENCE);
  await mustBeIn(world, 'active');
  const system = await logIn(world);
  return {
    ...system,
    imageBytes: form.bytes,
    imageVirtualBytes: plan.image.virtualBytes,
    machineMemoryMiB: plan.memoryMiB,
  };
}

export async function deployQcow2(world: World): Promise<Facts> {
  const { plan } = world;
  mustBe('the image is larger than the memory', plan.image.virtualBytes > plan.memoryMiB * 2 ** 20, true);
  return deploy(world, plan.image.qcow2, 'qcow2');
}

export async function deployRaw(world: World): Promise<Facts> {
  return deploy(world, world.plan.image.raw, 'raw');
}

export async function undeploy(world: World): Promise<Facts> {
  await world.client.run('node', 'undeploy', NODE, ...PATIENCE);
  await mustBeIn(world, 'available');
  mustBe('partition tables', await tables(world), [false, false]);
  return { disksErased: world.disks.length };
}
