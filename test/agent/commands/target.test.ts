import { expect, test } from 'vitest';

import type { Node } from '../../../agent/api/command.ts';
import { findTarget } from '../../../agent/commands/target.ts';
import { fakeDeps } from '../../fakes/agent-deps.ts';
import { machineOs } from '../../fakes/machine.ts';

// Found in a machine: the image went to the array, and the boot loader's command, which brings no node, did not know of it any more.
test('what a step told of a node outlives a lookup, which tells less', async () => {
  const raid_config = { logical_disks: [{ controller: 'software', volume_name: 'root' }] };
  const node: { current: Node | undefined } = { current: { uuid: 'u', raid_config } };
  const os = machineOs('qemu-q35', { run: async () => ({ stdout: '', stderr: '', exitCode: 0 }) });
  const deps = fakeDeps({
    os,
    node,
    // As the agent does it: the lookup's answer is the node from now on.
    refreshNode: async () => (node.current = { uuid: 'u', properties: { cpu_arch: 'x86_64' } }),
  });
  for (const turn of ['write_image', 'install_bootloader']) {
    const found = await findTarget(deps);
    expect([turn, found.node]).toEqual([turn, { uuid: 'u', raid_config, properties: { cpu_arch: 'x86_64' } }]);
    expect(node.current).toEqual(found.node);
  }
  expect(os.calls.filter((call) => call.startsWith('mdadm'))).toHaveLength(2);
});
