import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { metadataTargets } from '../../../agent/disk/erase-metadata.ts';
import { describeStorage } from '../../../agent/hardware/disks.ts';
import { type Block, parseLsblk } from '../../../agent/hardware/lsblk.ts';
import { skippedDisks } from '../../../agent/hardware/skip-list.ts';
import { considerRootDisk } from '../../../agent/hardware/root-disk.ts';
import { parseUdevData } from '../../../agent/hardware/udev-data.ts';
import { fakeOs, memoryFiles } from '../../fakes/agent-os.ts';
import { fixture } from '../../fakes/machine.ts';

const [line] = parseLsblk(fixture('qemu-q35', 'lsblk.json'));
const NAMES = ['sda', 'sdb', 'sda1', 'dm-0', 'md0', 'nvme0n1', 'zram0'];
const name = fc.constantFrom(...NAMES);
const text = fc.option(fc.constantFrom('0x5000c500c1a2b300', 'X', ' ', 'any:data', 'linux_raid_member', 'btrfs'));

/** Lines of lsblk in which devices stand on each other in any way, also on themselves. */
const block = fc
  .record({
    kname: name,
    pkname: fc.option(name),
    type: fc.constantFrom('disk', 'part', 'mpath', 'raid1', 'lvm', 'rom', 'crypt', ''),
    size: fc.option(fc.constantFrom(0, 1, 5 * 2 ** 30, 2 ** 60)),
    serial: text,
    wwn: text,
    label: text,
    fstype: text,
    model: text,
    tran: fc.option(fc.constantFrom('usb', 'sas')),
    ro: fc.boolean(),
    rm: fc.option(fc.boolean()),
    'maj:min': fc.option(fc.constantFrom('8:0', '8:1', '', 'x')),
  })
  .map((change): Block => ({ ...(line as Block), ...change }));

const udevData = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('E:ID_SERIAL=a', 'E:=', 'E:ID_WWN', 'S:disk/by-id/x', 'E:ID_WWN=0x1=2', 'E:DM_SERIAL=s'),
    ),
  )
  .map((lines) => lines.join('\n'));

test('whatever lsblk and udev say, each disk is listed once and none is a path of another', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(block, { maxLength: 12 }), udevData, async (blocks, udev) => {
      const files = memoryFiles({ '/run/udev/data/b8:0': udev, '/run/udev/data/b8:1': udev });
      const { disks, others } = await describeStorage(fakeOs({ files }), blocks);
      const names = disks.map(({ kname }) => kname);
      expect(new Set(names).size).toBe(names.length);
      for (const disk of disks) {
        expect(disk.family[0]?.kname).toBe(disk.kname);
        expect(others.filter(({ name: other }) => other === disk.disk.name)).toEqual([]);
        expect(disk.disk.size).toBeGreaterThan(0);
      }
      const choice = considerRootDisk(undefined, disks, others);
      expect(choice.chosen === undefined).toBe(choice.problem !== undefined);
      expect(choice.candidates.filter(({ reasons }) => reasons.length === 0)).toHaveLength(choice.chosen ? 1 : 0);
      // What is skipped is never among what the metadata erase works on.
      const node = { uuid: '', properties: { skip_block_devices: [{ size: '> 1' }] } };
      const skipped = skippedDisks(node, disks);
      const { targets } = metadataTargets(blocks, skipped);
      expect(targets.filter(({ kname }) => skipped.has(`/dev/${kname}`))).toEqual([]);
    }),
    { numRuns: 400 },
  );
});

test('any udev file is a list of properties', () => {
  fc.assert(
    fc.property(udevData, (said) => {
      for (const [key, value] of parseUdevData(said)) {
        expect(key).not.toBe('');
        expect(said).toContain(`E:${key}=${value}`);
      }
    }),
    { numRuns: 500 },
  );
  expect([...parseUdevData('S:x\nE:ID_WWN=0x1=2\nE:A=\nI:5\n')]).toEqual([
    ['ID_WWN', '0x1=2'],
    ['A', ''],
  ]);
});
