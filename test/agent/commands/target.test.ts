import { describe, expect, test } from 'vitest';

import { guardTarget } from '../../../agent/commands/target.ts';
import { makeConfig } from '../../../agent/config/config.ts';
import { sparseFile } from '../../fakes/disk-file.ts';
import { machineOs } from '../../fakes/machine.ts';

/** Asks the guard about a disk of a machine whose disks are all blank. */
async function guard(machine: string, path: string, properties: Record<string, unknown>, settings = {}) {
  const blank = await sparseFile(1024 ** 2);
  const os = machineOs(machine, { openDevice: async () => ({ ...blank.device, close: async () => undefined }) });
  const config = { ...makeConfig(new Map()), ...settings };
  try {
    await guardTarget({ os, config, node: { current: { uuid: 'u', properties } } }, path);
  } finally {
    await blank.close();
  }
}

describe('the disk that an image goes to', () => {
  test('is never one of skip_block_devices, whoever chose it', async () => {
    await expect(guard('qemu-q35', '/dev/sda', {})).resolves.toBeUndefined();
    const skip_block_devices = [{ serial: 'QM00013' }];
    await expect(guard('qemu-q35', '/dev/sda', { skip_block_devices })).rejects.toThrow(
      "cannot change /dev/sda: /dev/sda is named by the node's skip_block_devices",
    );
    await expect(guard('qemu-q35', '/dev/vda', { skip_block_devices })).resolves.toBeUndefined();
  });

  test('may be removable when it was chosen, but is never what a BMC plays, and keeps what the operator guards', async () => {
    await expect(guard('idrac-server', '/dev/sdd', {})).resolves.toBeUndefined();
    await expect(guard('idrac-server', '/dev/sdb', {})).rejects.toThrow('is virtual media');
    await expect(guard('storage-node', '/dev/sdd', {})).resolves.toBeUndefined();
    await expect(guard('storage-node', '/dev/sdd', {}, { guardContents: ['zfs'] })).rejects.toThrow(
      '/dev/sdd has zfs_member on it, which ingot-guard-contents keeps',
    );
  });

  test('is told when it is gone', async () => {
    await expect(guard('qemu-q35', '/dev/sdz', {})).rejects.toThrow('cannot write to /dev/sdz: it is gone');
  });
});
