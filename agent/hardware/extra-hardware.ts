import type { AgentOs } from '../os/door.ts';
import { defineFailures, reasonOf } from '../../system/failure.ts';

const PROGRAM = 'hardware-detect';

const failure = defineFailures({
  NO_HARDWARE_DETECT: {
    message: (detail) => `cannot collect with ${PROGRAM}: ${detail}`,
    hint: `put ${PROGRAM} into the ramdisk, or leave the collector extra-hardware out`,
  },
});

/**
 * The collector extra-hardware: whatever the tool of the Python package "hardware" prints, a list of lists that Ironic's hook of
 * the same name reads.
 * @param benchmarks cpu, mem, disk; each takes minutes, and none is run unless it is named
 * @throws Failure when the tool is missing, fails, or prints something else than JSON
 */
export async function collectExtraHardware(
  os: Pick<AgentOs, 'run'>,
  benchmarks: readonly string[],
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  try {
    const options = benchmarks.length > 0 ? ['--benchmark', ...benchmarks] : [];
    const { stdout } = await os.run(PROGRAM, options, { signal });
    return { data: JSON.parse(stdout) as unknown };
  } catch (cause) {
    signal.throwIfAborted();
    throw failure('NO_HARDWARE_DETECT', reasonOf(cause), { cause });
  }
}
