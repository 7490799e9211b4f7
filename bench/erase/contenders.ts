export type Content = 'zeros' | 'pattern';

/** Somebody who overwrites disks, as commands of bash: $DISKS has their names, relative to where it runs, $BYTES the size of each. */
export type Contender = {
  name: string;
  description: string;
  /** Refuses regular files. */
  devicesOnly?: boolean;
  /** Its pattern is the one in the file $PATTERN; else it is one of its own, random. */
  writesKnownPattern: boolean;
  command: (content: Content, together: boolean) => string;
};

/** Waits for each by its own number: a bare `wait` says nothing of failures. */
const eachDisk = (command: string, together: boolean): string =>
  together
    ? `pids=; for disk in $DISKS; do ${command} & pids="$pids $!"; done; for pid in $pids; do wait "$pid" || exit 1; done`
    : `for disk in $DISKS; do ${command} || exit 1; done`;

export const OWN: Contender = {
  name: 'Ingot',
  description: 'overwriteDisk of agent/erase, one process for all disks, with the note of how far it is',
  writesKnownPattern: true,
  command: (content, together) =>
    `"$NODE" "$PROGRAM" "$COSTS" ${content} $(${together ? 'set -- $DISKS; echo $#' : 'echo 1'}) $DISKS`,
};

const NWIPE =
  'PATH=/usr/sbin:/usr/bin:/opt TERM=linux chroot "$CAGE/root" nwipe --autonuke --nogui --nowait --verify=off --noblank --rounds=1 -P noPDF --logfile=/tmp/log';

export const PEERS: readonly Contender[] = [
  {
    name: 'dd',
    description: 'dd bs=4M oflag=direct conv=fsync, a process a disk; the pattern from a file in memory',
    writesKnownPattern: true,
    command: (content, together) =>
      eachDisk(
        `dd if=${content === 'zeros' ? '/dev/zero' : '"$PATTERN"'} of="$disk" bs=4M iflag=fullblock,count_bytes count="$BYTES" oflag=direct conv=notrunc,fsync status=none`,
        together,
      ),
  },
  {
    name: 'shred',
    description: 'shred -n 0 -z for zeros, shred -n 1 for a pattern of its own; a process a disk',
    writesKnownPattern: false,
    command: (content, together) => eachDisk(`shred ${content === 'zeros' ? '-n 0 -z' : '-n 1'} "$disk"`, together),
  },
  {
    name: 'nwipe',
    description: 'nwipe --verify=off --noblank, method zero or random; one process for all disks in parallel',
    devicesOnly: true,
    writesKnownPattern: false,
    command: (content, together) => {
      const command = `${NWIPE} --method=${content === 'zeros' ? 'zero' : 'random'}`;
      // Without any disk it would take all that there are.
      return `: "\${DISKS:?}"; ${together ? `${command} $DISKS </dev/null >/dev/null` : eachDisk(`${command} "$disk" </dev/null >/dev/null`, false)}`;
    },
  },
];
