import type { Progress } from '../../cli/progress.ts';
import type { Base } from '../bases.ts';
import type { BuilderHost } from '../host/door.ts';
import { toolSysroot } from '../sysroot.ts';
import { type KeyRing, openKeys } from './keys.ts';
import { openRpmTools, RPM_TOOL_PACKAGES, type RpmTools } from './tools.ts';

/** What it takes to work with RPM packages. */
export type RpmWorkshop = { tools: RpmTools; keys: KeyRing };

/**
 * Tools from Debian's packages, and the keys of the base.
 * @param work.keys files with keys in place of the base's own
 * @throws Failure `NO_KEY` and those of `toolSysroot`
 */
export async function openRpmWorkshop(
  base: Base,
  work: { host: BuilderHost; keys?: readonly string[] | undefined; progress: Progress; signal: AbortSignal },
): Promise<RpmWorkshop> {
  const { host, progress, signal, keys = [] } = work;
  const root = await toolSysroot({ host, packages: RPM_TOOL_PACKAGES, progress, signal });
  const tools = await openRpmTools(host, root, base.rpm?.acceptSha1 !== undefined, signal);
  return { tools, keys: await openKeys(tools, base, keys) };
}
