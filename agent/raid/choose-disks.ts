import { AgentError } from '../api/errors.ts';
import type { DiskModel } from '../hardware/disk-model.ts';
import { compileHints } from '../hardware/hints.ts';
import type { LogicalDisk } from './config.ts';

function refuse(why: string): AgentError {
  return new AgentError('SoftwareRAIDError', `cannot choose the disks of software RAID: ${why}`);
}

/**
 * Which disks each array stands on. Each hint object takes the next disk that matches and that this array does not have yet, in the
 * order of the plugs; without physical_disks all are taken.
 * @param disks those that may be used, in a stable order
 * @throws AgentError `SoftwareRAIDError` that says why each disk does not match
 */
export function chooseDisks(
  wanted: readonly LogicalDisk[],
  disks: readonly DiskModel[],
): { logicalDisk: LogicalDisk; disks: string[] }[] {
  return wanted.map((logicalDisk) => {
    const { physicalDisks, index } = logicalDisk;
    if (physicalDisks === undefined) return { logicalDisk, disks: disks.map(({ disk }) => disk.name) };
    const chosen: string[] = [];
    for (const hints of physicalDisks) {
      const reasons = compileHints(hints);
      const found = disks.find((disk) => !chosen.includes(disk.disk.name) && reasons(disk).length === 0);
      if (found === undefined) {
        const why = disks.map((disk) => {
          const taken = chosen.includes(disk.disk.name) ? ['it is in this array already'] : [];
          return `${disk.disk.name}: ${[...taken, ...reasons(disk)].join(', ')}`;
        });
        throw refuse(
          `none is left for ${JSON.stringify(hints)} of logical disk ${index + 1}. ${why.join('; ') || 'There are no disks'}`,
        );
      }
      chosen.push(found.disk.name);
    }
    return { logicalDisk, disks: chosen };
  });
}
