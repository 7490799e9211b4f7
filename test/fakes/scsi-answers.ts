import { Failure } from '../../system/failure.ts';
import type { Disk } from './erasable-machine.ts';

type Erase = (disk: Disk) => Promise<boolean>;

/** hdparm 9.65 given an IDENTIFY of nothing but zeros, which is what it makes of a SCSI disk's "no such command". */
export const HDPARM_OF_NO_ATA_DISK = `
/dev/sda:
SG_IO: bad/missing sense data, sb[]:  70 00 05 00 00 00 00 0a 00 00 00 00 20 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00

ATA device, with non-removable media
Standards:
	Likely used: 1
Configuration:
	Logical		max	current
	cylinders	0	0
	heads		0	0
	sectors/track	0	0
	--
	Logical/Physical Sector size:           512 bytes
	device size with M = 1024*1024:           0 MBytes
	device size with M = 1000*1000:           0 MBytes 
	cache/buffer size  = unknown
Capabilities:
	IORDY not likely
	Cannot perform double-word IO
	R/W multiple sector transfer: not supported
	DMA: not supported
	PIO: pio0 
`;

/** `sg_opcodes --opcode=0x48,SA` of sg3_utils 1.48, by its source (src/sg_opcodes.c, list_one). */
export function opcodeAnswer(action: number, isSupported: boolean, takesOthers = false): string {
  const name = { 1: 'overwrite', 2: 'block erase', 3: 'cryptographic erase' }[action];
  return `  SEAGATE   ST1200MM0129      C003
  Peripheral device type: disk

  Opcode=0x48  Service_action=0x000${action}
  Command_name: Sanitize, ${name}
  Command is ${isSupported ? 'supported [conforming to SCSI standard]' : 'NOT supported'}
  No command duration limit mode page
  Multiple Logical Units (MLU): ${takesOthers ? 'affects all LUs in this target' : 'not reported'}
`;
}

function failed(program: string, args: readonly string[], code: number, why: string): Failure {
  return new Failure(
    'COMMAND_FAILED',
    `cannot run ${[program, ...args].join(' ')}: it ended with exit code ${code}\n${why}`,
    { cause: { exitCode: code } },
  );
}

/** Fixed format sense data (SPC-6, 4.5.3). @param progress of 65536 */
export function fixedSense(key: number, code: number, qualifier: number, progress?: number): Buffer {
  const bytes = Buffer.alloc(18);
  bytes[0] = 0x70;
  bytes[2] = key;
  bytes[7] = 10;
  bytes[12] = code;
  bytes[13] = qualifier;
  if (progress !== undefined) {
    bytes[15] = 0x80;
    bytes.writeUInt16BE(progress, 16);
  }
  return bytes;
}

/** What REQUEST SENSE gives; each look is some time later. */
export async function senseData(disk: Disk, erase: Erase): Promise<Uint8Array> {
  if (disk.sanitizing > 0) {
    disk.sanitizing -= disk.firmware === 'never-ends' ? 0 : 1;
    if (disk.sanitizing === 0) disk.sanitizeStatus = (await erase(disk)) ? 1 : 3;
    // The first look after it began finds what the reset before it left.
    else if (disk.sanitizing === 3) return fixedSense(6, 0x29, 0);
    else return fixedSense(2, 0x04, 0x1b, disk.firmware === 'lies-on-progress' ? disk.sanitizing * 0x3000 : 0x8000);
  }
  return disk.sanitizeStatus === 3 ? fixedSense(3, 0x31, 0x03) : fixedSense(0, 0, 0);
}

const has = (disk: Disk, name: string) => (disk.abilities ?? []).includes(name as never);

/** Programs that are asked about a SCSI disk. */
export const scsiAnswers = {
  hdparm: async (_disk: Disk, args: readonly string[]): Promise<string> => {
    if (args.includes('-I')) return HDPARM_OF_NO_ATA_DISK;
    // What QEMU's disk answered, of which hidden sectors were read for a while.
    if (args.includes('-N'))
      return ' max sectors   = 81920/18446744073321613488, HPA setting seems invalid (buggy kernel device driver?)\n';
    throw failed('hdparm', args, 5, 'SG_IO: bad/missing sense data');
  },
  opcodes: async (disk: Disk, args: readonly string[]): Promise<string> => {
    const action = Number(/0x48,0x([123])/.exec(args[0] ?? '')?.[1]);
    // All ways, or the two that are no cryptography.
    const isSupported = has(disk, 'sanitize') && (action !== 3 || has(disk, 'crypto'));
    return opcodeAnswer(action, isSupported, disk.takesOthers);
  },
  sanitize: async (disk: Disk, args: readonly string[]): Promise<string> => {
    if (args.includes('--fail')) {
      if (disk.sanitizeStatus === 3) disk.sanitizeStatus = 0;
      return '';
    }
    if (!has(disk, 'sanitize')) throw failed('sg_sanitize', args, 9, 'Sanitize failed: Illegal request');
    disk.sanitizing = 4;
    disk.sanitizeStatus = 2;
    return '    SEAGATE   ST1200MM0129      C003   peripheral_type: disk [0x0]\n';
  },
};
