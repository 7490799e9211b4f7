import { fileURLToPath } from 'node:url';

import { runInSandbox } from '../../../builder/dib/sandbox.ts';
import type { BuilderHost } from '../../../builder/host/door.ts';
import type { Progress } from '../../../cli/progress.ts';
import { Failure } from '../../../system/failure.ts';
import { parseEvent } from '../../lab/demo/programs.ts';
import { interopFailure } from './failures.ts';

const INSIDE = fileURLToPath(new URL('inside.ts', import.meta.url));

/**
 * Runs `inside.ts` in namespaces of its own: users, mounts, processes and network. What it mounts and starts, and its network,
 * are gone when it ends, however it or we end; there is nothing to clean up but files.
 * @param planFile path of a `Plan`
 * @throws Failure of the flow that failed, or `CELL`
 */
export async function runInside(
  planFile: string,
  options: { host: BuilderHost; progress: Progress; signal: AbortSignal },
): Promise<void> {
  const { host, progress, signal } = options;
  let failure: Failure | undefined;
  const strange: string[] = [];
  const onLine = (line: string) => {
    const { event, phase, message, hint, code, ...update } = parseEvent(line) ?? {};
    if (event === 'progress' && phase !== undefined) progress.update({ ...update, phase, ...(message && { message }) });
    else if (event === 'log' && message !== undefined) progress.log(message);
    else if (event === 'error' && message !== undefined)
      failure = new Failure(typeof code === 'string' ? code : 'INSIDE', message, { hint: hint ?? undefined });
    else strange.push(line);
  };
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', INSIDE, planFile, '--json'];
  const code = await runInSandbox(host, ['unshare', '--net', '--', ...node], { signal, onLine });
  progress.finish();
  if (failure !== undefined) throw failure;
  if (code !== 0) throw interopFailure('CELL', `exit code ${code}\n${strange.slice(-20).join('\n')}`);
}
