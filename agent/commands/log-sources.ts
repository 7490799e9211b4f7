/** One entry of the archive: the output of a program, or a file. */
export type LogSource = { name: string; command: readonly [string, ...string[]] } | { name: string; file: string };

/** Of each entry the last part is kept: the newest lines matter. */
export const LONGEST_ENTRY = 2 * 1024 ** 2;

const LSBLK_COLUMNS = 'KNAME,MODEL,SIZE,ROTA,TYPE,UUID,PARTUUID,SERIAL,WWN,LOG-SEC,PHY-SEC,TRAN';

/** More than is kept: where the end of a file begins, a secret may be cut in half, and would not be known for one. */
const TAIL_BYTES = LONGEST_ENTRY + 64 * 1024;
const tail = (file: string): readonly [string, ...string[]] => ['tail', '-c', String(TAIL_BYTES), file];

/**
 * Names and programs are those of IPA's archive (`hardware.py` collect_system_logs), so that people and scripts find what they
 * know, and some more. A program that is not in this ramdisk is left out.
 */
export const LOG_SOURCES: readonly LogSource[] = [
  { name: 'journal', command: ['journalctl', '--full', '--no-pager', '-b'] },
  { name: 'df', command: ['df', '-a'] },
  { name: 'dmesg', command: ['dmesg'] },
  { name: 'efibootmgr', command: ['efibootmgr', '-v'] },
  { name: 'iptables', command: ['iptables', '-L'] },
  { name: 'ip_addr', command: ['ip', 'addr'] },
  { name: 'lsblk', command: ['lsblk', '--all', `-o${LSBLK_COLUMNS}`] },
  { name: 'lsblk-full', command: ['lsblk', '--all', '--bytes', '--output-all', '--pairs'] },
  { name: 'lshw', command: ['lshw', '-quiet', '-json'] },
  { name: 'mdstat', file: '/proc/mdstat' },
  { name: 'mdadm', command: ['mdadm', '--detail', '--scan', '--verbose', '--verbose'] },
  { name: 'mount', command: ['mount'] },
  { name: 'multipath', command: ['multipath', '-ll'] },
  { name: 'parted', command: ['parted', '-s', '-l'] },
  { name: 'ps', command: ['ps'] },
  { name: 'ip_route', command: ['ip', 'route'] },
  { name: 'meminfo', file: '/proc/meminfo' },
  { name: 'modules', file: '/proc/modules' },
  { name: 'partitions', file: '/proc/partitions' },
  // agent/erase/chain.ts
  { name: 'evidence.jsonl', file: '/run/ingot/evidence/records.jsonl' },
  { name: 'run/ingot/boot.log', command: tail('/run/ingot/boot.log') },
  { name: 'run/ingot/agent.log.1', command: tail('/run/ingot/agent.log.1') },
  { name: 'run/ingot/agent.log', command: tail('/run/ingot/agent.log') },
  { name: 'run/ingot/sshd.log', command: tail('/run/ingot/sshd.log') },
];

/** A file of /var/log. */
export function varLogSource(name: string): LogSource {
  return { name: `var/log/${name}`, command: tail(`/var/log/${name}`) };
}
