import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { AgentOs } from '../os/door.ts';

/** A new array starts reading only, and is read and written as soon as somebody writes: looking at a machine changes no disk (md(4)). */
const START_READ_ONLY = '/sys/module/md_mod/parameters/start_ro';

/** @throws AgentError that names the element when the ramdisk has no mdadm, else what mdadm says */
export async function mdadm(
  os: Pick<AgentOs, 'run'>,
  args: readonly string[],
  options: { okExitCodes?: readonly number[] } = {},
): Promise<string> {
  try {
    const { stdout } = await os.run('mdadm', args, options);
    return stdout;
  } catch (error) {
    const why = reasonOf(error);
    const isMissing = /\bENOENT\b/.test(why);
    throw new AgentError(
      'SoftwareRAIDError',
      isMissing
        ? 'cannot do software RAID: mdadm is not in this ramdisk; build it with the element software-raid'
        : why,
      { cause: error },
    );
  }
}

/**
 * Has the kernel start the arrays that are on the machine's disks, reading only until the first write.
 * @throws AgentError `SoftwareRAIDError` without mdadm
 */
export async function assembleArrays(os: AgentOs): Promise<void> {
  await os.run('modprobe', ['md_mod']).catch(() => undefined); // built in, or mdadm says what is missing
  if (await os.files.exists(START_READ_ONLY)) await os.files.write(START_READ_ONLY, '1');
  // 1: nothing was found, or something could not be started; what is there is looked at afterwards.
  await mdadm(os, ['--assemble', '--scan'], { okExitCodes: [0, 1, 2] });
  await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
}
