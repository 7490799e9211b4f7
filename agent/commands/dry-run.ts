import { AgentError } from '../api/errors.ts';
import { flagOf } from '../api/flag.ts';

/**
 * The argument `dry_run` of a step.
 * @throws AgentError `InvalidCommandParamsError` for what is neither yes nor no: nobody's disks are changed on a guess
 */
export function dryRunOf(args: Readonly<Record<string, unknown>>): boolean {
  const isDry = flagOf(args['dry_run'] ?? false);
  if (isDry !== undefined) return isDry;
  const given = JSON.stringify(args['dry_run']);
  throw new AgentError('InvalidCommandParamsError', `cannot use dry_run ${given}: it is neither true nor false`);
}
