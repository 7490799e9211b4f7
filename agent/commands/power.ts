import { Type } from 'typebox';

import { AgentError } from '../api/errors.ts';
import type { CommandContext, CommandSpec } from '../engine/command-table.ts';
import { reasonOf } from '../../system/failure.ts';
import type { AgentDeps } from './deps.ts';

/** Program, and the letter for /proc/sysrq-trigger where the program cannot do it. */
const POWER = { reboot: 'b', poweroff: 'o' } as const;

const FLUSH_TIMEOUT_MS = 20 * 60_000;
const DISK_FLUSH_TIMEOUT_MS = 60_000;
const PROGRAM_TIMEOUT_MS = 60_000;

/** Whole disks, not RAM disks, loop devices or floppies. */
async function diskPaths({ os }: AgentDeps): Promise<string[]> {
  const names = await os.files.list('/sys/block');
  return names.filter((name) => !/^(loop|ram|zram|fd|sr|nbd)\d+$/.test(name)).map((name) => `/dev/${name}`);
}

/**
 * Puts everything written so far onto the disks and drops caches, so that what is read next comes from the disks.
 * @throws AgentError `CommandExecutionError` when `sync` itself fails; a single disk that cannot be flushed is only logged
 */
export async function flushDisks(deps: AgentDeps, context: CommandContext): Promise<void> {
  const { run, files } = deps.os;
  try {
    await run('sync', [], { timeoutMs: FLUSH_TIMEOUT_MS });
  } catch (error) {
    throw new AgentError('CommandExecutionError', reasonOf(error), { cause: error });
  }
  await files.write('/proc/sys/vm/drop_caches', '3').catch((error: unknown) => context.log(reasonOf(error)));
  for (const disk of await diskPaths(deps)) {
    await run('blockdev', ['--flushbufs', disk], { timeoutMs: DISK_FLUSH_TIMEOUT_MS }).catch((error: unknown) =>
      context.log(`cannot flush ${disk}: ${reasonOf(error)}`),
    );
  }
}

/**
 * The clock is set once more, and the hardware's is set by it. A machine without one, or a server that does not answer, is no
 * failure unless `fail_if_clock_not_set` says so.
 * @throws AgentError `ClockSyncError`
 */
async function saveClock(deps: AgentDeps, context: CommandContext): Promise<void> {
  const step = async (work: Promise<unknown>, otherwise: string): Promise<void> => {
    try {
      const done = await work;
      if (typeof done === 'string') context.log(done);
    } catch (error) {
      const details = `${otherwise}: ${reasonOf(error)}`;
      if (deps.config.failIfClockNotSet) throw new AgentError('ClockSyncError', details, { cause: error });
      context.log(details);
    }
  };
  if (deps.setClock !== undefined) await step(deps.setClock(), 'the clock keeps its time');
  await step(deps.os.run('hwclock', ['-w', '-u'], { timeoutMs: 10_000 }), 'the hardware clock keeps its time');
}

/**
 * Flushes the disks, then reboots or powers off: by the init's own program, and if that does not take it, by the kernel.
 * @throws AgentError `SystemRebootError` when neither does
 */
async function leave(what: keyof typeof POWER, deps: AgentDeps, context: CommandContext): Promise<null> {
  context.progress({ phase: 'flush disks' });
  await saveClock(deps, context);
  await flushDisks(deps, context).catch((error: unknown) => context.log(reasonOf(error)));
  context.progress({ phase: what });
  let reason: string;
  try {
    const { stderr } = await deps.os.run(what, [], { timeoutMs: PROGRAM_TIMEOUT_MS });
    if (!stderr.toLowerCase().includes('ignoring request')) return null;
    reason = stderr.trim();
  } catch (error) {
    if (context.signal.aborted) return null; // init ended this agent, as it was asked to
    reason = reasonOf(error);
  }
  context.log(`${what} was not taken (${reason}); asking the kernel`);
  try {
    await deps.os.files.write('/proc/sysrq-trigger', POWER[what]);
  } catch (error) {
    throw new AgentError('SystemRebootError', `cannot ${what}: ${reason}; the kernel: ${reasonOf(error)}`);
  }
  return null;
}

const NONE = Type.Object({});

export const POWER_COMMANDS: readonly CommandSpec<AgentDeps>[] = [
  {
    name: 'standby.run_image',
    mode: 'async',
    summary: 'Flushes the disks and reboots into the image that was written.',
    params: NONE,
    run: (deps, _params, context) => leave('reboot', deps, context),
  },
  {
    name: 'standby.power_off',
    mode: 'async',
    summary: 'Flushes the disks and powers the machine off.',
    params: NONE,
    run: (deps, _params, context) => leave('poweroff', deps, context),
  },
  {
    name: 'standby.sync',
    mode: 'sync',
    summary: 'Flushes the disks.',
    params: NONE,
    run: (deps, _params, context) => flushDisks(deps, context),
  },
];
