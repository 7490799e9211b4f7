import type { CommandResult } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';

/**
 * Commands that an earlier process of this boot took: what was running then did not finish, and says so. Whether it
 * may be repeated is the conductor's decision, so it is FAILED and not started again.
 */
export function afterRestart(saved: readonly CommandResult[]): CommandResult[] {
  return saved.map((result) => {
    if (result.command_status !== 'RUNNING') return result;
    const { progress, ...rest } = result;
    const where = progress === undefined ? '' : ` in phase "${progress.phase}"`;
    const error = new AgentError(
      'CommandExecutionError',
      `the agent stopped and was started again while ${result.command_name} was running${where}; what it was doing is ` +
        'unfinished; try: run it again, and look at collect_system_logs for why the agent stopped',
    );
    return { ...rest, command_status: 'FAILED', command_error: error.toCommandError() };
  });
}
