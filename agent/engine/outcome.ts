import { AgentError, type CommandError } from '../api/errors.ts';
import { Failure, reasonOf } from '../../system/failure.ts';
import { redact } from '../../system/redact.ts';

/**
 * Anything that a command threw, as `command_error`. A failure's hint goes along: `details` is what the operator reads.
 */
export function toCommandError(error: unknown): CommandError {
  const hint = error instanceof Failure && error.hint !== undefined ? `; try: ${error.hint}` : '';
  const typed =
    error instanceof AgentError ? error : new AgentError('CommandExecutionError', `${reasonOf(error)}${hint}`);
  const result = typed.toCommandError();
  // It ends up in the node's last_error, which more people may read than the node's secrets.
  return { ...result, details: redact(result.details) };
}

/**
 * What a command returned, as `command_result`: text becomes `{result}`, of an async command with the command's name in
 * front (IPA `extensions/base.py`), the rest stays as it is, and what JSON cannot carry is an error here rather than in
 * every later listing of the history.
 * @throws AgentError `CommandExecutionError`
 */
export function shapeResult(value: unknown, name: string, mode: 'sync' | 'async'): unknown {
  if (typeof value === 'string') return { result: mode === 'sync' ? value : `${name}: ${value}` };
  if (value === undefined || value === null) return null;
  try {
    return JSON.parse(JSON.stringify(value)) as unknown;
  } catch (cause) {
    throw new AgentError('CommandExecutionError', `cannot send the result of ${name}: ${reasonOf(cause)}`, { cause });
  }
}
