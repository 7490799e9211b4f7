import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { mergeJournal } from '../../../agent/commands/journal.ts';
import { blockProperties } from '../../../agent/commands/udev.ts';

test('everybody’s lines stand in the order of their times; a line without one stays below the line before it', () => {
  const journal = mergeJournal([
    { name: 'kernel', text: '[    0.000000] Linux version 6.12\n[   12.500000] vda: vda1 vda2\n' },
    { name: 'init', text: '[2.19] Ingot for x86_64\n[13.00] starting the agent\n' },
    { name: 'agent', text: 'first words\n[    12.4] command sync starts\n  in two lines\n\n' },
  ]);
  expect(journal).toBe(`[     0.000] kernel: Linux version 6.12
[     0.000] agent: first words
[     2.190] init: Ingot for x86_64
[    12.400] agent: command sync starts
      in two lines
[    12.500] kernel: vda: vda1 vda2
[    13.000] init: starting the agent
`);
});

test('no line is lost and none comes before its time', () => {
  const line = fc.record({ at: fc.integer({ min: 0, max: 1e6 }), text: fc.stringMatching(/^[a-z]{1,9}$/) });
  fc.assert(
    fc.property(fc.array(fc.array(line, { maxLength: 20 }), { maxLength: 4 }), (sources) => {
      const texts = sources.map((lines, index) => ({
        name: `s${index}`,
        text: lines
          .toSorted((a, b) => a.at - b.at)
          .map(({ at, text }) => `[${(at / 1000).toFixed(3)}] ${text}\n`)
          .join(''),
      }));
      const merged = mergeJournal(texts).split('\n').slice(0, -1);
      expect(merged).toHaveLength(sources.flat().length);
      const times = merged.map((one) => Number.parseFloat(one.slice(1)));
      expect(times).toEqual(times.toSorted((a, b) => a - b));
    }),
  );
});

// In the form that udevadm(8) describes.
const DATABASE = `P: /devices/pci0000:00/0000:00:04.0/virtio1
M: virtio1
R: 1
U: virtio
V: virtio_blk
E: DEVPATH=/devices/pci0000:00/0000:00:04.0/virtio1
E: SUBSYSTEM=virtio
E: DRIVER=virtio_blk

P: /devices/pci0000:00/0000:00:04.0/virtio1/block/vda
M: vda
R: 0
J: b254:0
U: block
T: disk
D: b 254:0
N: vda
L: 0
S: disk/by-path/pci-0000:00:04.0
S: disk/by-id/virtio-LAB=1
Q: 9
E: DEVPATH=/devices/pci0000:00/0000:00:04.0/virtio1/block/vda
E: DEVNAME=/dev/vda
E: DEVTYPE=disk
E: SUBSYSTEM=block
E: ID_SERIAL=LAB=1

P: /devices/pci0000:00/0000:00:05.0/virtio2/net/eth0
M: eth0
U: net
I: 2
E: SUBSYSTEM=net
E: INTERFACE=eth0
`;

test('udev’s properties of block devices are read, and those of no others', () => {
  expect(blockProperties(DATABASE)).toEqual(
    new Map([
      [
        'vda',
        {
          DEVPATH: '/devices/pci0000:00/0000:00:04.0/virtio1/block/vda',
          DEVNAME: '/dev/vda',
          DEVTYPE: 'disk',
          SUBSYSTEM: 'block',
          ID_SERIAL: 'LAB=1',
        },
      ],
    ]),
  );
  expect(blockProperties('')).toEqual(new Map());
});
