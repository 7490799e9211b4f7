import type { QemuMachine } from '../arch/qemu.ts';
import type { Progress } from '../cli/progress.ts';
import { type Tools, toolsIn } from '../machine/tools.ts';
import type { BuilderHost } from './host/door.ts';
import { toolCommand, toolSysroot } from './sysroot.ts';

/**
 * QEMU and firmware for a machine, fetched and unpacked or found in the cache.
 * @param options.more other Debian packages for the same tree
 */
export async function qemuTools(
  host: BuilderHost,
  machine: QemuMachine,
  options: { progress: Progress; signal: AbortSignal; mirror?: readonly string[]; more?: readonly string[] },
): Promise<Tools> {
  const { more = [], ...rest } = options;
  const root = await toolSysroot({ host, packages: [...machine.packages, ...more], ...rest });
  return toolsIn(root, (program) => toolCommand(root, program), host.run);
}
