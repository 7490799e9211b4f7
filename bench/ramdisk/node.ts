import { setTimeout as sleep } from 'node:timers/promises';

import { labFailure } from '../../test/lab/failures.ts';
import { type BenchLab, SKIPPED_DISKS } from './lab.ts';

const POLL_MS = 250;

/** What of a node is looked at here; names are Ironic's. */
export type NodeState = { provision_state: string; last_error: string | null };

export const readNode = (lab: BenchLab) => lab.api('GET', lab.nodePath) as Promise<NodeState>;

export const provision = (lab: BenchLab, target: string, more: object = {}) =>
  lab.api('PUT', `${lab.nodePath}/states/provision`, { target, ...more });

/**
 * Waits for one of some states.
 * @throws Failure `CONSOLE_SILENT` after that time, with the state that it is in
 */
export async function waitForState(
  lab: BenchLab,
  states: readonly string[],
  seconds: number,
  signal: AbortSignal,
): Promise<NodeState> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const node = await readNode(lab);
    if (states.includes(node.provision_state)) return node;
    if (performance.now() > end)
      throw labFailure(
        'CONSOLE_SILENT',
        `a sign that the node is ${states.join(' or ')} after ${seconds} s; it is "${node.provision_state}"`,
      );
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** A node that is skipped by erasing: both agents would only find disks to overwrite, and that is not what is measured. */
export async function skipDisks(lab: BenchLab, skip: boolean): Promise<void> {
  await lab.api('PATCH', lab.nodePath, [
    skip
      ? { op: 'add', path: '/properties/skip_block_devices', value: SKIPPED_DISKS }
      : { op: 'remove', path: '/properties/skip_block_devices' },
  ]);
}

export async function setImage(lab: BenchLab, image: { url: string; sha256: string }): Promise<void> {
  const fields = {
    image_source: image.url,
    image_disk_format: 'qcow2',
    image_os_hash_algo: 'sha256',
    image_os_hash_value: image.sha256,
  };
  await lab.api(
    'PATCH',
    lab.nodePath,
    Object.entries(fields).map(([name, value]) => ({ op: 'add', path: `/instance_info/${name}`, value })),
  );
}

const QUIET = [
  'manageable',
  'available',
  'active',
  'clean failed',
  'deploy failed',
  'inspect failed',
  'enroll',
  'error',
];

/** Brings whatever is under way to its end: the machine off, the node in a state from which the next flow can start. */
export async function settle(lab: BenchLab, seconds: number, signal: AbortSignal): Promise<NodeState> {
  await lab.reset();
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const node = await readNode(lab);
    if (QUIET.includes(node.provision_state)) {
      await lab.reset();
      return node;
    }
    // While the conductor itself is at work, it refuses; its next try to reach the agent fails, and that ends its work.
    if (/wait/.test(node.provision_state)) await provision(lab, 'abort').catch(() => undefined);
    if (performance.now() > end) throw labFailure('CONSOLE_SILENT', `an end of "${node.provision_state}"`);
    await sleep(POLL_MS, undefined, { signal });
  }
}
