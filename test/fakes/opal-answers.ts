import { Failure } from '../../system/failure.ts';
import type { Disk } from './erasable-machine.ts';

/** `sedutil-cli --query` (1.20) by its source (Common/DtaDev.cpp, puke), shortened. */
export function queryAnswer(isLocked: boolean): string {
  return `
/dev/sda ATA Samsung SSD 860 EVO 500GB               RVT01B6Q S3Z2NB0K000000X     
TPer function (0x0001)
    ACKNAK = N, ASYNC = N. BufferManagement = N, comIDManagement  = N, Streaming = Y, SYNC = Y
Locking function (0x0002)
    Locked = ${isLocked ? 'Y' : 'N'}, LockingEnabled = ${isLocked ? 'Y' : 'N'}, LockingSupported = Y, MBRDone = N, MBREnabled = N, MediaEncrypt = Y
OPAL 2.0 function (0x0203)
    Base comID = 0x1004, Initial PIN = 0x00, Reverted PIN = 0x00, comIDs = 1
    Locking Admins = 4, Locking Users = 9, Range Crossing = N
`;
}

/** sedutil-cli on a disk with TCG Opal; it says the PSID that it was given when that is wrong, as its log does. */
export async function opalAnswers(
  disk: Disk,
  args: readonly string[],
  erase: (disk: Disk) => Promise<boolean>,
): Promise<string> {
  const failed = (why: string) =>
    new Failure(
      'COMMAND_FAILED',
      `cannot run ${['sedutil-cli', ...args].join(' ')}: it ended with exit code 1\n${why}`,
      {
        cause: { exitCode: 1 },
      },
    );
  if (!(disk.abilities ?? []).includes('opal')) throw failed(`Invalid or unsupported disk ${disk.path}`);
  if (args[0] === '--query') return queryAnswer(disk.isLocked);
  if (args[0] !== '--PSIDrevert') throw failed('unknown option');
  if (args[1] !== disk.psid) throw failed(`method status code NOT_AUTHORIZED for ${args[1]}`);
  if (!(await erase(disk))) throw failed('method status code FAIL');
  disk.isLocked = false;
  return 'revertTper completed successfully\n';
}
