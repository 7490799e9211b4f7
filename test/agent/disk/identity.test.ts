import { describe, expect, test } from 'vitest';

import { readIdentity, whyAnother } from '../../../agent/disk/identity.ts';
import { memoryFiles } from '../../fakes/agent-os.ts';

const identity = (sysfs: Record<string, string>) =>
  readIdentity(
    memoryFiles(
      Object.fromEntries(Object.entries(sysfs).map(([name, text]) => [`/sys/class/block/sda/${name}`, `${text}\n`])),
    ),
    'sda',
  );

describe('a disk of the same name', () => {
  test.each([
    ['with the same number', { diskseq: '4' }, { diskseq: '4' }],
    ['that now says more of itself', { diskseq: '4' }, { diskseq: '4', wwid: 'naa.1' }],
    [
      'with another number, and its WWID',
      { diskseq: '4', 'device/wwid': 'naa.1' },
      { diskseq: '9', 'device/wwid': 'naa.1' },
    ],
    ['of a kernel that does not count', { 'device/serial': 'A' }, { 'device/serial': 'A' }],
    ['of which nothing is known', {}, {}],
  ])('is the same: %s', async (_, before, now) => {
    expect(whyAnother(await identity(before), await identity(now))).toBeUndefined();
  });

  test.each([
    ['with another number', { diskseq: '4' }, { diskseq: '9' }, 'does not say who it is'],
    ['that says who it is now, and did not', { diskseq: '4' }, { diskseq: '9', serial: 'A' }, 'does not say who it is'],
    ['with another serial number', { serial: 'A' }, { serial: 'B' }, 'its serial is B now, and was A'],
    // Two namespaces of one controller.
    [
      'of the same controller',
      { diskseq: '4', 'device/serial': 'A', wwid: 'eui.1' },
      { diskseq: '5', 'device/serial': 'A', wwid: 'eui.2' },
      'its wwid is eui.2 now',
    ],
    ['that is not there any more', { diskseq: '4', serial: 'A' }, {}, 'it is gone'],
  ])('is another one: %s', async (_, before, now, why) => {
    expect(whyAnother(await identity(before), await identity(now))).toContain(why);
  });
});
