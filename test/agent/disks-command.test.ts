import { describe, expect, test } from 'vitest';

import { CONTENT_GROUPS } from '../../agent/disk/contents.ts';
import { PARAMETERS } from '../../agent/config/config.ts';
import { collectDisks } from '../../agent/disks-command.ts';
import { describeDisks } from '../../agent/disks-view.ts';
import { systemRun } from '../../system/run.ts';
import { makeDiskFile } from '../fakes/disk-file.ts';
import { machineOs } from '../fakes/machine.ts';

const SERVER = 'rack-server-12-disks';
/** Every device of the machine is one blank file. */
async function blankDisks(machine: string) {
  const blank = await makeDiskFile(1024 ** 2);
  await blank.device.zero(0, 1024 ** 2);
  return machineOs(machine, { openDevice: async () => ({ ...blank.device, close: async () => undefined }) });
}

describe('ingot-agent disks', () => {
  test('shows which disk an image goes to, why no other, and what guards each', async () => {
    const properties = { root_device: { serial: '2227385E7F10' }, skip_block_devices: [{ volume_name: '0' }] };
    const shown = await collectDisks(await blankDisks(SERVER), { uuid: '', properties });
    expect(shown.disks.filter(({ isChosen }) => isChosen).map(({ disk }) => disk.kname)).toEqual(['nvme1n1']);
    const text = describeDisks(shown);
    expect(text).toContain('root disk: an image goes here');
    expect(text).toContain('serial is 2227385E7F00, not 2227385E7F10');
    expect(text).toContain("guarded: /dev/sdi is named by the node's skip_block_devices");
    expect(text).toContain('guarded: /dev/sdi1 is held by /dev/md127 (raid1)');
    expect(text).toContain('array "0"');
    expect(text).not.toMatch(/undefined|null|NaN/);
  });

  test('says why there is no root disk', async () => {
    const shown = await collectDisks(await blankDisks('qemu-q35'), {
      uuid: '',
      properties: { root_device: { size: '> 100' } },
    });
    expect(describeDisks(shown)).toContain('cannot choose the root disk: none matches the hints {"size":"> 100"}');
  });

  test('reads JSON and says where it is none', async () => {
    const wrong = await systemRun(process.execPath, ['agent/main.ts', 'disks', '--hints', '{x'], { okExitCodes: [2] });
    expect(wrong.stderr).toContain('cannot read --hints {x');
    const help = await systemRun(process.execPath, ['agent/main.ts', 'disks', '--help']);
    expect(help.stdout).toContain('--skip JSON');
  });
});

test('the setting of what is guarded knows every content that is recognised', () => {
  const { needs, schema } = PARAMETERS.guardContents;
  for (const group of CONTENT_GROUPS) {
    expect(needs).toContain(group);
    expect(JSON.stringify(schema)).toContain(`"${group}"`);
  }
});
