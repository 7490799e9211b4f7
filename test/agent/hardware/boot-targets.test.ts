import { describe, expect, test } from 'vitest';

import { connectBootTargets, readBootTargets } from '../../../agent/hardware/boot-targets.ts';
import { Failure } from '../../../system/failure.ts';
import { fakeOs, fakeRun, memoryFiles } from '../../fakes/agent-os.ts';

/** As the kernel's iscsi_ibft shows a table of iPXE with one target, by its source and that of iscsi_boot_sysfs. */
const IBFT = {
  '/sys/firmware/ibft/initiator/initiator-name': 'iqn.2010-04.org.ipxe:rack-1\n',
  '/sys/firmware/ibft/ethernet0/mac': '52:54:00:12:34:56\n',
  '/sys/firmware/ibft/ethernet0/flags': '3\n',
  '/sys/firmware/ibft/target0/target-name': 'iqn.2026-01.example.storage:root\n',
  '/sys/firmware/ibft/target0/ip-addr': '192.0.2.7\n',
  '/sys/firmware/ibft/target0/port': '3260\n',
  '/sys/firmware/ibft/target0/lun': '01000000\n',
  '/sys/firmware/ibft/target0/flags': '3\n',
  '/sys/firmware/ibft/target0/nic-assoc': '0\n',
  '/sys/firmware/ibft/target0/chap-secret': 'not for anybody\n',
  // The firmware's second entry, which it has left empty.
  '/sys/firmware/ibft/target1/flags': '0\n',
};
const PROGRAM = { '/usr/sbin/iscsistart': '' };

async function connect(files: Record<string, string>, answers: Record<string, string | Error> = {}) {
  const run = fakeRun(answers);
  const told: string[] = [];
  await connectBootTargets(fakeOs({ run, files: memoryFiles(files) }), (message) => told.push(message));
  return { calls: run.calls, told: told.join('\n') };
}

describe('targets of the firmware', () => {
  test('are read without the secrets that it has for them', async () => {
    const targets = await readBootTargets({ files: memoryFiles(IBFT) });
    expect(targets).toEqual([
      {
        target: 'iqn.2026-01.example.storage:root',
        portal: '192.0.2.7:3260',
        lun: '01000000',
        mac: '52:54:00:12:34:56',
      },
    ]);
    const six = { ...IBFT, '/sys/firmware/ibft/target0/ip-addr': 'fd00::7\n' };
    expect((await readBootTargets({ files: memoryFiles(six) }))[0]?.portal).toBe('[fd00::7]:3260');
    expect(await readBootTargets({ files: memoryFiles() })).toEqual([]);
  });

  test('are logged in to once a boot', async () => {
    const answers = { '/usr/sbin/iscsistart -b': '', 'udevadm settle --timeout=60': '' };
    const { calls, told } = await connect({ ...PROGRAM, ...IBFT }, answers);
    expect(calls).toEqual([
      'modprobe -q iscsi_ibft',
      'modprobe -q iscsi_tcp',
      '/usr/sbin/iscsistart -b',
      'udevadm settle --timeout=60',
    ]);
    expect(told).toBe("logged in to the firmware's iSCSI target iqn.2026-01.example.storage:root at 192.0.2.7:3260");
    const again = await connect(
      { ...PROGRAM, ...IBFT, '/sys/class/iscsi_session/session1/state': 'LOGGED_IN' },
      answers,
    );
    expect(again.calls).not.toContain('/usr/sbin/iscsistart -b');
  });

  test('that cannot be reached do not stop the agent, and are told', async () => {
    const { told } = await connect(
      { ...PROGRAM, ...IBFT },
      {
        '/usr/sbin/iscsistart -b': new Failure('COMMAND_FAILED', 'cannot run iscsistart -b: it ended with exit code 8'),
      },
    );
    expect(told).toContain("cannot log in to the firmware's iSCSI target iqn.2026-01.example.storage:root");
    expect(told).toContain('exit code 8');
  });

  test('cost nothing where there are none, and are told where the ramdisk has no program for them', async () => {
    expect(await connect({})).toEqual({ calls: [], told: '' });
    expect(await connect(PROGRAM)).toMatchObject({ told: '' });
    const { calls, told } = await connect({ '/sys/firmware/acpi/tables/IBFT': 'iBFT' });
    expect(calls).toEqual([]);
    expect(told).toContain('build the ramdisk with the element iscsi-boot');
  });
});
