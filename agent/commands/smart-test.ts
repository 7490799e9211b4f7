import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { CommandContext } from '../engine/command-table.ts';
import type { AgentOs } from '../os/door.ts';

const POLL_MS = 30_000;

type SelfTest = { isRunning: boolean; hasPassed: boolean; words: string; leftPercent: number | undefined };

/**
 * How a disk's own test stands, from what `smartctl --json --all` prints of ATA and NVMe disks.
 * @returns undefined for a disk that does not say
 */
export function readSelfTest(output: string): SelfTest | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(output);
  } catch {
    return undefined;
  }
  const smart = parsed as {
    ata_smart_data?: { self_test?: { status?: { string?: string; remaining_percent?: number } } };
    nvme_self_test_log?: {
      current_self_test_operation?: { value?: number; string?: string };
      current_self_test_completion_percent?: number;
      table?: { self_test_result?: { value?: number; string?: string } }[];
    };
  } | null;
  const ata = smart?.ata_smart_data?.self_test?.status;
  if (ata?.string !== undefined)
    return {
      isRunning: ata.string.includes('in progress'),
      hasPassed: ata.string.includes('completed without error'),
      words: ata.string,
      leftPercent: ata.remaining_percent,
    };
  const nvme = smart?.nvme_self_test_log;
  const running = nvme?.current_self_test_operation;
  if (nvme === undefined || running?.value === undefined) return undefined;
  const done = nvme.current_self_test_completion_percent;
  const last = nvme.table?.[0]?.self_test_result;
  return {
    isRunning: running.value !== 0,
    hasPassed: running.value === 0 && last?.value === 0,
    words: (running.value === 0 ? last?.string : running.string) ?? 'no result',
    leftPercent: done === undefined ? undefined : 100 - done,
  };
}

async function start(os: AgentOs, disk: string): Promise<string | undefined> {
  try {
    await os.run('smartctl', ['--test', 'long', disk]);
    return undefined;
  } catch (error) {
    const why = reasonOf(error);
    if (why.includes('ENOENT'))
      throw new AgentError(
        'CommandExecutionError',
        'cannot have disks test themselves: smartctl is not in this ramdisk; build it with the element burn-in',
      );
    return `${disk}: ${why}`;
  }
}

/**
 * Has disks run their own long tests, all at once, and waits for them.
 * @throws AgentError `CleaningError` that names each disk that could not, or that failed
 */
export async function selfTestDisks(os: AgentOs, disks: readonly string[], context: CommandContext): Promise<void> {
  const refused = (await Promise.all(disks.map((disk) => start(os, disk)))).filter((one) => one !== undefined);
  if (refused.length > 0)
    throw new AgentError('CleaningError', `cannot start the self-test of disks: ${refused.join('; ')}`);
  const failures: string[] = [];
  let open = [...disks];
  while (open.length > 0) {
    const still: string[] = [];
    let left = 0;
    for (const disk of open) {
      // Its exit code has bits for what is wrong with the disk; the text says so, too.
      const okExitCodes = Array.from({ length: 256 }, (_, code) => code);
      const { stdout } = await os.run('smartctl', ['--json', '--all', disk], { okExitCodes, signal: context.signal });
      const test = readSelfTest(stdout);
      if (test?.isRunning) {
        still.push(disk);
        left = Math.max(left, test.leftPercent ?? 0);
      } else if (test === undefined) context.log(`${disk} does not say how its self-test went`);
      else if (test.hasPassed) context.log(`${disk} passed its self-test`);
      else failures.push(`${disk}: ${test.words}`);
    }
    open = still;
    context.progress({ phase: 'self-test of disks', done: 100 - left, total: 100, unit: '%', message: open.join(' ') });
    if (open.length > 0) await os.clock.sleep(POLL_MS, context.signal);
  }
  if (failures.length > 0) throw new AgentError('CleaningError', `the self-test failed of ${failures.join('; ')}`);
}
