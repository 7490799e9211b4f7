import { Failure } from '../../system/failure.ts';
import type { Disk } from './erasable-machine.ts';

/** `hdparm -I` of a Samsung SSD 860 EVO (hdparm 9.60), shortened to what is read of it; the words of its state are put in. */
export function hdparmIdentify(words: {
  enabled: boolean;
  locked: boolean;
  frozen: boolean;
  sanitize: boolean;
  security: boolean;
}): string {
  const line = (is: boolean, word: string) => `\t${is ? '' : 'not'}\t${word}`;
  return `
/dev/sda:

ATA device, with non-removable media
	Model Number:       Samsung SSD 860 EVO 500GB               
	Serial Number:      S3Z2NB0K000000X     
	Firmware Revision:  RVT01B6Q
Commands/features:
	Enabled	Supported:
	   *	SMART feature set
	    ${words.security ? '	' : ' '}	Security Mode feature set
	   *	48-bit Address feature set
${words.sanitize ? '	   *	SANITIZE feature set\n	   *	CRYPTO_SCRAMBLE_EXT command\n	   *	OVERWRITE_EXT command\n	   *	BLOCK_ERASE_EXT command\n' : ''}	   *	Data Set Management TRIM supported (limit 8 blocks)
	   *	Deterministic read ZEROs after TRIM
${
  words.security
    ? `Security: 
	Master password revision code = 65534
		supported
${line(words.enabled, 'enabled')}
${line(words.locked, 'locked')}
${line(words.frozen, 'frozen')}
	not	expired: security count
		supported: enhanced erase
	4min for SECURITY ERASE UNIT. 8min for ENHANCED SECURITY ERASE UNIT. 
`
    : ''
}Logical Unit WWN Device Identifier: 5002538e40000000
Checksum: correct
`;
}

function failed(args: readonly string[], why: string): Failure {
  return new Failure('COMMAND_FAILED', `cannot run hdparm ${args.join(' ')}: it ended with exit code 5\n${why}`, {
    cause: { exitCode: 5 },
  });
}

/** hdparm on a disk with ATA Security, and Sanitize where it has it. */
export async function sataAnswers(
  disk: Disk,
  args: readonly string[],
  erase: (disk: Disk) => Promise<boolean>,
): Promise<string> {
  const has = (option: string) => args.includes(option);
  const abilities = disk.abilities ?? [];
  const isFrozen = disk.firmware === 'frozen';
  if (has('-I'))
    return hdparmIdentify({
      enabled: disk.password !== undefined,
      locked: disk.isLocked && disk.password !== undefined,
      frozen: isFrozen,
      sanitize: abilities.includes('sanitize'),
      security: abilities.includes('security'),
    });
  if (has('-N'))
    return `\n/dev/${disk.kname}:\n max sectors   = ${disk.sizeBytes / 512}/${disk.sizeBytes / 512}, HPA is disabled\n`;
  if (has('--dco-identify')) throw failed(args, 'SG_IO: bad/missing sense data');
  if (has('--sanitize-status')) {
    if (disk.sanitizing > 0) {
      disk.sanitizing -= 1;
      return 'Issuing SANITIZE_STATUS command\nSanitize status:\n    State:    SD2 Sanitize operation In Process\n    Progress: 0x41c2 (25%)\n';
    }
    const done = disk.sanitizeStatus === 1 ? '    Last Sanitize Operation Completed Without Error\n' : '';
    return `Issuing SANITIZE_STATUS command\nSanitize status:\n    State:    SD0 Sanitize Idle\n${done}`;
  }
  if (args.some((arg) => /^--sanitize-(?:block|crypto|overwrite)/.test(arg))) {
    disk.sanitizing = 2;
    disk.sanitizeStatus = (await erase(disk)) ? 1 : 0;
    return 'Operation started in background\n';
  }
  if (isFrozen) throw failed(args, 'SECURITY_SET_PASS: Input/output error');
  if (has('--security-set-pass')) {
    disk.password = 'NULL';
    return '';
  }
  if (has('--security-disable') || has('--security-unlock')) {
    const isRight = disk.password === undefined || args.includes(disk.password);
    if (disk.firmware === 'keeps-password' || !isRight) throw failed(args, 'SECURITY_DISABLE: Input/output error');
    if (has('--security-unlock')) disk.isLocked = false;
    else if (disk.isLocked && disk.password !== undefined) throw failed(args, 'SECURITY_DISABLE: Input/output error');
    else disk.password = undefined;
    return '';
  }
  if (args.some((arg) => arg.startsWith('--security-erase'))) {
    const isGood = await erase(disk);
    if (!isGood) throw failed(args, 'SECURITY_ERASE: Input/output error');
    if (disk.firmware !== 'keeps-password') disk.password = undefined;
    return '';
  }
  throw failed(args, 'unknown option');
}
