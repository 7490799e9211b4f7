import { describe, expect, test } from 'vitest';

import { type Block, parseLsblk } from '../../../agent/hardware/lsblk.ts';
import { virtualMediaReason } from '../../../agent/hardware/virtual-media.ts';
import { fixture } from '../../fakes/machine.ts';

const [line] = parseLsblk(fixture('qemu-q35', 'lsblk.json'));
const usb = (change: Partial<Block>): Block => ({ ...(line as Block), tran: 'usb', label: null, ...change });
const reason = (block: Block, vendor: string | null, usbVendor?: string) =>
  virtualMediaReason(block, { vendor, usbVendor }, [block]);

describe('drives that a BMC plays', () => {
  // Vendors and models as owners of such machines showed them in public.
  test.each([
    ['AMI     ', 'Virtual HDisk0', 'AMI'],
    ['AMI', 'Virtual_Floppy0', 'AMI'],
    ['iDRAC', 'LCDRIVE', 'iDRAC'],
    ['iDRAC', 'Virtual Floppy', 'iDRAC'],
    ['ATEN', 'Virtual CDROM', 'Supermicro'],
    ['HP', 'iLO LUN 00 Media 0', 'iLO'],
    ['HP iLO', 'LUN 00 Media 0', 'iLO'],
    ['Linux', 'File-Stor Gadget', 'BMC'],
    ['Megabmc', 'Virtual Media', 'BMC'],
  ])('%s %s is one, on USB only', (vendor, model, by) => {
    expect(reason(usb({ model }), vendor)).toContain(by);
    expect(reason(usb({ model, tran: 'sas' }), vendor)).toBeUndefined();
  });

  test.each([
    ['SanDisk', 'Cruzer Fit'],
    ['HP iLO', 'Internal SD-CARD'],
    ['DELL', 'IDSDM'],
    ['Generic', 'STORAGE DEVICE'],
    ['Samsung', 'Virtualia 500'],
  ])('%s %s is a disk of the machine', (vendor, model) => {
    expect(reason(usb({ model }), vendor)).toBeUndefined();
  });

  test('are known by the USB vendor, by Ironic’s label, and by that of a small drive with configuration', () => {
    expect(reason(usb({ model: 'X' }), 'X', '046b')).toContain('046b');
    expect(reason(usb({ label: 'IR-VFD-DEV', tran: 'sata' }), null)).toContain('ir-vfd-dev');
    expect(reason(usb({ label: 'config-2', size: 2 ** 20 }), 'SanDisk')).toContain('config-2');
    expect(reason(usb({ label: 'config-2', size: 2 ** 40 }), 'SanDisk')).toBeUndefined();
    expect(reason(usb({ label: 'config-2', size: 2 ** 20, tran: 'nvme' }), null)).toBeUndefined();
  });
});
