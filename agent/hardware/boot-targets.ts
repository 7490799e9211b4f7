import { reasonOf } from '../../system/failure.ts';
import type { Details } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';

type BootTarget = NonNullable<Details['iscsi_boot']>[number];

/** Made by the kernel's iscsi_ibft of the table that the firmware left (drivers/firmware/iscsi_ibft.c). */
const FOLDER = '/sys/firmware/ibft';
/** There whether that module is in the ramdisk or not, where the firmware tells of the table by ACPI. */
const ACPI_TABLE = '/sys/firmware/acpi/tables/IBFT';
const PROGRAM = '/usr/sbin/iscsistart';
/** Each session of a running kernel. */
const SESSIONS = '/sys/class/iscsi_session';
const LOGIN_TIMEOUT_MS = 120_000;
/** Of `flags`: the entry says something at all (iBFT 1.03, 4.5). */
const VALID = 1;

/** @returns the targets that the firmware starts this machine from; secrets that it has for them are not read */
export async function readBootTargets({ files }: Pick<AgentOs, 'files'>): Promise<BootTarget[]> {
  const names = (await files.list(FOLDER)).filter((name) => /^target\d+$/.test(name)).toSorted();
  const text = async (path: string) => (await files.read(`${FOLDER}/${path}`))?.trim() || null;
  const found = await Promise.all(
    names.map(async (name): Promise<BootTarget[]> => {
      const [target, flags, address, port] = await Promise.all(
        ['target-name', 'flags', 'ip-addr', 'port'].map((one) => text(`${name}/${one}`)),
      );
      if (!target || (Number(flags) & VALID) === 0) return [];
      const nic = await text(`${name}/nic-assoc`);
      const host = address?.includes(':') ? `[${address}]` : address;
      return [
        {
          target,
          portal: host ? `${host}:${port ?? '3260'}` : null,
          lun: await text(`${name}/lun`),
          mac: nic === null ? null : await text(`ethernet${nic}/mac`),
        },
      ];
    }),
  );
  return found.flat();
}

/**
 * Logs in to the targets that the firmware starts this machine from, once a boot, as ironic-python-agent does: without that their
 * disks are not there. Nothing of it stops the agent; what is missing, or fails, is told.
 * @param tell one sentence
 */
export async function connectBootTargets(os: AgentOs, tell: (message: string) => void): Promise<void> {
  const { files } = os;
  if (!(await files.exists(PROGRAM))) {
    if (await files.exists(ACPI_TABLE))
      tell(
        'the firmware starts this machine from iSCSI (iBFT), and its disks are not there: build the ramdisk with the element iscsi-boot',
      );
    return;
  }
  for (const module of ['iscsi_ibft', 'iscsi_tcp']) await os.run('modprobe', ['-q', module]).catch(() => undefined);
  const targets = await readBootTargets(os);
  if (targets.length === 0 || (await files.list(SESSIONS)).length > 0) return;
  const names = targets.map(({ target, portal }) => `${target} at ${portal ?? 'no address'}`).join(', ');
  try {
    await os.run(PROGRAM, ['-b'], { timeoutMs: LOGIN_TIMEOUT_MS });
    await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
    tell(`logged in to the firmware's iSCSI target ${names}`);
  } catch (error) {
    tell(`cannot log in to the firmware's iSCSI target ${names}: ${reasonOf(error)}`);
  }
}
