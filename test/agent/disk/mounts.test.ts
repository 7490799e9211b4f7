import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { readUses } from '../../../agent/disk/mounts.ts';
import { type Block, parseLsblk } from '../../../agent/hardware/lsblk.ts';
import { fakeOs, memoryFiles } from '../../fakes/agent-os.ts';
import { fixture } from '../../fakes/machine.ts';

const blocks = parseLsblk(fixture('qemu-q35', 'lsblk.json'));
const numbers: Record<string, string> = { sda: '8:0', sda1: '8:1', vda: '254:0', nvme0n1: '259:0' };
const uses = (files: Record<string, string>, of: readonly Block[] = blocks) =>
  readUses(fakeOs({ files: memoryFiles(files) }), of, (kname) => numbers[kname]);

// Lines as Linux 6.12 writes them (proc_pid_mountinfo(5)).
const ROOT = '22 1 0:2 / / rw shared:1 - rootfs rootfs rw\n';
const DATA = '40 22 8:1 / /mnt/with\\040blank rw,relatime shared:9 master:2 - ext4 /dev/sda1 rw\n';
const BTRFS = '41 22 0:45 /sub /pool rw,relatime - btrfs /dev/nvme0n1 rw,space_cache\n';

describe('mounts and swaps', () => {
  test('are found in every namespace, each once, with whose namespace it is', async () => {
    const found = await uses({
      '/proc/self/mountinfo': ROOT,
      '/proc/1/mountinfo': ROOT,
      '/proc/77/mountinfo': ROOT + DATA,
      '/proc/77/comm': 'podman\n',
      '/proc/78/mountinfo': ROOT + DATA,
    });
    expect(found).toEqual([
      {
        kname: 'sda1',
        code: 'mounted',
        text: 'is mounted at /mnt/with blank in the namespace of process 77 (podman)',
      },
    ]);
  });

  test('are found by the name of the device where the file system has a number of its own', async () => {
    const found = await uses({ '/proc/self/mountinfo': ROOT + BTRFS });
    expect(found).toEqual([{ kname: 'nvme0n1', code: 'mounted', text: 'is mounted at /pool' }]);
  });

  test('of swap are found', async () => {
    const swaps =
      'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/vda partition 1048572 0 -2\n/file file 9 0 -3\n';
    expect(await uses({ '/proc/swaps': swaps })).toEqual([{ kname: 'vda', code: 'swap', text: 'is swapped to' }]);
  });

  test('can be anything at all', async () => {
    const line = fc.oneof(fc.string(), fc.constantFrom(ROOT, DATA, BTRFS, ' - ', '\\9', '1 2 8:0'));
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.string(), async (lines, swaps) => {
        const found = await uses({ '/proc/self/mountinfo': lines.join('\n'), '/proc/swaps': swaps });
        expect(found.every(({ kname }) => blocks.some((block) => block.kname === kname))).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
