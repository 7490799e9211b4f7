import { reasonOf } from '../system/failure.ts';
import type { Node } from './api/command.ts';
import type { AgentParts } from './parts.ts';

const NETWORK_WAIT_SECONDS = 60;
const POLL_MS = 500;

/** Waits until there is a network interface with a MAC; without one the agent goes on and says so. */
export async function waitForNetwork({ os, hardware, console, signal }: AgentParts): Promise<void> {
  const start = os.clock.monotonic();
  for (;;) {
    const macs = await hardware.macs();
    if (macs.length > 0) return console.log(`network interfaces: ${macs.join(', ')}`);
    if (os.clock.monotonic() - start > NETWORK_WAIT_SECONDS * 1000) {
      return console.status({
        error: `no network interface was found in ${NETWORK_WAIT_SECONDS} s; is its driver in this ramdisk?`,
      });
    }
    console.status({ state: 'waiting for a network interface' });
    await os.clock.sleep(POLL_MS, signal);
  }
}

/**
 * Waits until there is a disk that an image could go to (ipa-disk-wait-*); a diskless machine is only told of.
 * @param node whose hints count; undefined before it is known
 */
export async function waitForDisks(parts: AgentParts, node: Node | undefined): Promise<void> {
  const { os, hardware, config, console, signal } = parts;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const disk = await hardware.rootDisk(node);
      return console.log(
        `disk for an image: ${disk.name}, ${(disk.size / 2 ** 30).toFixed(1)} GiB, ${disk.model ?? 'no model'}`,
      );
    } catch (error) {
      signal.throwIfAborted();
      if (attempt >= config.diskWaitAttempts) return console.log(`no disk to write to: ${reasonOf(error)}`);
      console.debug(`waiting for disks: ${reasonOf(error)}`);
      await os.clock.sleep(config.diskWaitDelaySeconds * 1000, signal);
    }
  }
}

/** Nothing is left to do but to say why, until the machine is switched off or the agent stopped. */
export async function waitForever({ os, console, signal }: AgentParts): Promise<never> {
  for (;;) {
    await os.clock.sleep(60_000, signal);
    console.repeat();
  }
}
