import { IPXE_PACKAGE, type QemuMachine } from '../../arch/qemu.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { qemuTools } from '../../builder/tools.ts';
import type { Progress } from '../../cli/progress.ts';
import type { Tools } from '../../machine/tools.ts';

/** What makes images. */
const IMAGE_TOOLS = ['qemu-utils', 'e2fsprogs', 'libarchive13t64', 'dosfstools', 'mtools', 'gdisk'];

/** All that a machine of the lab needs, from the cache where it is there. */
export async function labTools(
  host: BuilderHost,
  machine: QemuMachine,
  options: { progress: Progress; signal: AbortSignal; mirror?: readonly string[] },
): Promise<Tools> {
  return qemuTools(host, machine, { ...options, more: [IPXE_PACKAGE, ...IMAGE_TOOLS] });
}
