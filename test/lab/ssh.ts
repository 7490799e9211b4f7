import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { reasonOf } from '../../system/failure.ts';
import type { Run } from '../../system/run.ts';
import { labFailure } from './failures.ts';

export type SshKey = { privateFile: string; publicText: string };

/** Makes a key without a passphrase in a folder. */
export async function makeSshKey(folder: string, run: Run, signal: AbortSignal): Promise<SshKey> {
  const privateFile = join(folder, 'id_ed25519');
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'ingot-lab', '-f', privateFile], { signal });
  return { privateFile, publicText: (await readFile(`${privateFile}.pub`, 'utf8')).trim() };
}

export type SshTarget = { port: number; user: string; key: SshKey };

function sshArguments({ port, user, key }: SshTarget, command: string): string[] {
  const options = {
    // Nothing of this host's own SSH settings, agents or keys may help: only the key on the config drive counts.
    IdentitiesOnly: 'yes',
    IdentityAgent: 'none',
    BatchMode: 'yes',
    PreferredAuthentications: 'publickey',
    StrictHostKeyChecking: 'no',
    UserKnownHostsFile: '/dev/null',
    LogLevel: 'ERROR',
    ConnectTimeout: '5',
    ServerAliveInterval: '5',
  };
  return [
    ['-F', 'none', '-i', key.privateFile, '-p', String(port)],
    Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
    [`${user}@127.0.0.1`, command],
  ].flat();
}

/** Runs a command on the other side. @returns its standard output */
export async function ssh(target: SshTarget, command: string, run: Run, signal: AbortSignal): Promise<string> {
  const { stdout } = await run('ssh', sshArguments(target, command), { signal, timeoutMs: 60_000 });
  return stdout;
}

/**
 * Tries to log in until it works.
 * @returns the command's standard output
 * @throws Failure `SSH_TIMEOUT` with what the last try said
 */
export async function sshWhenReady(
  target: SshTarget,
  command: string,
  options: { run: Run; signal: AbortSignal; timeoutSeconds: number },
): Promise<string> {
  const end = performance.now() + options.timeoutSeconds * 1000;
  for (;;) {
    try {
      return await ssh(target, command, options.run, options.signal);
    } catch (error) {
      options.signal.throwIfAborted();
      if (performance.now() > end) {
        const last = reasonOf(error).split('\n').slice(1).join(' ') || reasonOf(error);
        throw labFailure('SSH_TIMEOUT', `no success within ${options.timeoutSeconds} s; the last try said: ${last}`);
      }
      await sleep(1000, undefined, { signal: options.signal });
    }
  }
}
