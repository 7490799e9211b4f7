import { Type } from 'typebox';

import { AgentError } from '../api/errors.ts';
import type { CommandSpec } from '../engine/command-table.ts';
import { reasonOf } from '../../system/failure.ts';
import type { AgentDeps } from './deps.ts';

/** Where ironic-python-agent's ramdisks, and Ingot's own, look for the password of the user `rescue`. */
const RESCUE_FOLDER = '/etc/ipa-rescue-config';
const RESCUE_PASSWORD = `${RESCUE_FOLDER}/ipa-rescue-password`;
/** While it is there, no agent serves: the machine is its tenant's. */
export const RESCUED_MARK = '/etc/.rescued';

/** SHA-256 crypt, as ironic-python-agent makes of a plain password; it is handed over by standard input, never by the command line. */
async function hashPassword({ os }: AgentDeps, password: string): Promise<string> {
  try {
    const { stdout } = await os.run('busybox', ['mkpasswd', '-m', 'sha256', '-P', '0'], { input: `${password}\n` });
    return stdout.trim();
  } catch {
    // The failure's own words may have some of what was typed.
    throw new AgentError(
      'CommandExecutionError',
      'cannot hash the rescue password: busybox mkpasswd failed or is not there; send it hashed (hashed: true), as Ironic does',
    );
  }
}

function departure(deps: AgentDeps, what: string): NonNullable<AgentDeps['leave']> {
  if (deps.leave !== undefined) return deps.leave;
  throw new AgentError('CommandExecutionError', `cannot ${what}: this agent does not run in a ramdisk of its own`);
}

type RescueParams = { rescue_password?: string; hashed?: boolean };

/**
 * Leaves the password's hash for the ramdisk, which makes a user of it, and ends serving: from now on the machine is on its
 * tenant's network. Its own network cards stay up.
 */
async function finalizeRescue(deps: AgentDeps, params: RescueParams): Promise<null> {
  const leave = departure(deps, 'rescue');
  const { rescue_password: password = '', hashed = false } = params;
  const hash = hashed ? password : await hashPassword(deps, password);
  // A line of /etc/shadow is made of it.
  if (!/^\$[\w./$,=+-]+$/.test(hash)) {
    throw new AgentError(
      'InvalidCommandParamsError',
      'cannot rescue: rescue_password is no crypt(3) hash; send one, or the plain password with hashed: false',
    );
  }
  try {
    await deps.os.files.makeDirectory(RESCUE_FOLDER, 0o700);
    await deps.os.files.write(RESCUE_PASSWORD, hash, 0o600);
    await deps.os.files.write(RESCUED_MARK, '');
  } catch (error) {
    throw new AgentError('CommandExecutionError', `cannot keep the rescue password: ${reasonOf(error)}`);
  }
  leave('rescue');
  return null;
}

/** What ends the agent's service on purpose. */
export const DEPARTURE_COMMANDS: readonly CommandSpec<AgentDeps>[] = [
  {
    name: 'rescue.finalize_rescue',
    mode: 'sync',
    summary: 'Hands the machine over to the user `rescue` with this password; then the agent serves nobody.',
    params: Type.Object({
      rescue_password: Type.Optional(Type.String({ maxLength: 4096 })),
      hashed: Type.Optional(Type.Boolean()),
    }),
    run: (deps, params: RescueParams) => finalizeRescue(deps, params),
  },
  {
    name: 'system.lockdown',
    mode: 'sync',
    summary: 'Takes the network down; then the agent serves nobody.',
    params: Type.Object({}),
    run: async (deps) => {
      departure(deps, 'lock this machine down')('lockdown');
      return null;
    },
  },
];
