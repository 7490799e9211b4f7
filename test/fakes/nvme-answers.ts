import { Failure } from '../../system/failure.ts';
import type { Disk } from './erasable-machine.ts';

function failed(args: readonly string[], why: string): Failure {
  return new Failure('COMMAND_FAILED', `cannot run nvme ${args.join(' ')}: it ended with exit code 1\n${why}`, {
    cause: { exitCode: 1 },
  });
}

/** What `nvme id-ctrl -o json` (nvme-cli 2.13) says, shortened to what is read of it. */
export function idCtrl(words: { oacs: number; fna: number; sanicap: number }): string {
  return JSON.stringify({
    vid: 5197,
    ssvid: 5197,
    sn: 'S4EWNX0N000000',
    mn: 'SAMSUNG MZVLB512HBJQ',
    fr: 'EXF7201Q',
    ...words,
    nn: 1,
  });
}

/** nvme on a disk with Format, and Sanitize where it has it. */
export async function nvmeAnswers(
  disk: Disk,
  args: readonly string[],
  erase: (disk: Disk) => Promise<boolean>,
): Promise<string> {
  const has = (name: string) => (disk.abilities ?? []).includes(name as never);
  if (args[0] === 'id-ctrl')
    return idCtrl({
      oacs: has('format') ? 0x17 : 0x15,
      fna: has('crypto') ? 0b100 : 0,
      sanicap: has('sanitize') ? 0b10 : 0,
    });
  if (args[0] === 'format') {
    if (!(await erase(disk))) throw failed(args, 'NVMe status: Format in Progress(0x84)');
    return `Success formatting namespace:1\n`;
  }
  if (args[0] === 'sanitize') {
    if (args.includes('--sanact=1')) {
      disk.sanitizeStatus = 0;
      return '';
    }
    disk.sanitizing = 3;
    return '';
  }
  throw failed(args, 'unknown command');
}

/** Log page 0x81; each look is some time later. */
export async function sanitizeLog(disk: Disk, erase: (disk: Disk) => Promise<boolean>): Promise<Uint8Array> {
  const log = Buffer.alloc(512);
  if (disk.sanitizing > 0) {
    disk.sanitizing -= 1;
    if (disk.sanitizing === 0) disk.sanitizeStatus = (await erase(disk)) ? 1 : 3;
    else disk.sanitizeStatus = 2;
  }
  log.writeUInt16LE(disk.sanitizeStatus === 2 ? 0x8000 : 0xffff, 0);
  log.writeUInt16LE(disk.sanitizeStatus, 2);
  return log;
}
