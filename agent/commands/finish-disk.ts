import { AgentError } from '../api/errors.ts';
import { writeConfigDrive } from '../disk/config-drive.ts';
import { listPartitions, rereadPartitions } from '../disk/partitions.ts';
import { moveBackupGpt } from '../disk/tables.ts';
import type { CommandContext } from '../engine/command-table.ts';
import type { AgentDeps } from './deps.ts';

/**
 * Makes the kernel see what was written to a disk as a whole, and puts the config drive beside it.
 * @throws AgentError `DeploymentError` when there are no partitions, or no room
 */
export async function finishDisk(
  deps: AgentDeps,
  path: string,
  drive: Buffer | undefined,
  context: CommandContext,
): Promise<void> {
  const { os, config } = deps;
  context.progress({ phase: 'read partitions' });
  await rereadPartitions(os, path);
  await moveBackupGpt(os, path);
  await rereadPartitions(os, path);
  if ((await listPartitions(os, path)).length === 0)
    throw new AgentError(
      'DeploymentError',
      `cannot use what was written to ${path}: the kernel finds no partitions on it`,
    );
  if (!drive) return;
  context.progress({ phase: 'write config drive' });
  const partition = await writeConfigDrive(os, path, drive, config.configDriveRebuild);
  context.log(`config drive is on ${partition}`);
}
