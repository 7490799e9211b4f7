import { cpioPieces } from '../../builder/archive/cpio.ts';
import type { Entry } from '../../builder/archive/entry.ts';
import { fileEntry, parents } from '../../builder/tree/tree.ts';

/**
 * The same small reader of the agent's memory for both ramdisks: a second archive behind each initramfs, which the kernel unpacks
 * over the first. Every two seconds it says on the console what the kernel says of the agent's process. It starts no program but
 * `sleep`, so that it takes next to nothing from what is measured.
 */
const SCRIPT = `#!/bin/sh
exec </dev/null >/dev/console 2>/dev/null
agent=
find_agent() {
  for folder in /proc/[0-9]*; do
    line=
    read -r line <"$folder/cmdline"
    case $line in
      *agent.cjs* | *python*ironic-python-agent*) agent=\${folder#/proc/} && return ;;
    esac
  done
}
while sleep 2; do
  [ -n "$agent" ] && [ -d "/proc/$agent" ] || { agent= && find_agent; }
  [ -n "$agent" ] || continue
  words=
  while read -r name value unit; do
    case $name in VmRSS: | VmHWM: | RssAnon:) words="$words $name$value" ;; esac
  done <"/proc/$agent/status"
  while read -r name value unit; do
    case $name in MemTotal: | MemAvailable: | MemFree:) words="$words $name$value" ;; esac
  done </proc/meminfo
  echo "bench-probe:$words kB"
done
`;

const SCRIPT_PATH = 'etc/ingot/early/bench-probe';

const UNIT = `[Unit]
Description=Memory of the agent, for the bench
DefaultDependencies=no

[Service]
ExecStart=/bin/sh /${SCRIPT_PATH}
`;

const UNIT_NAME = 'bench-probe.service';

/** Ingot's init starts what lies in one folder, systemd what a target wants; each overlooks the other's. */
const FILES: Entry[] = [
  fileEntry(SCRIPT_PATH, SCRIPT, 0o755),
  fileEntry(`etc/systemd/system/${UNIT_NAME}`, UNIT),
  {
    path: `etc/systemd/system/sysinit.target.wants/${UNIT_NAME}`,
    mode: 0o777,
    uid: 0,
    gid: 0,
    type: 'symlink',
    target: `../${UNIT_NAME}`,
  },
];

/** The archive, to be written behind an initramfs. */
export async function probeArchive(): Promise<Uint8Array> {
  const folders = new Set(FILES.flatMap(({ path }) => parents(path)));
  const entries: Entry[] = [
    ...[...folders].map((path) => ({ path, mode: 0o755, uid: 0, gid: 0, type: 'directory' as const })),
    ...FILES,
  ];
  const pieces: Uint8Array[] = [];
  const read = async function* ({ content }: Extract<Entry, { type: 'file' }>) {
    if (content.kind === 'bytes') yield content.bytes;
  };
  for await (const piece of cpioPieces(entries, read)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** What the agent's process had at a moment, bytes. */
export type MemoryReading = { resident: number; residentMost: number; anonymous: number; available: number };

/** @returns undefined for any other line of the console */
export function parseProbe(line: string): MemoryReading | undefined {
  const [, words] = /bench-probe:(( \w+:\d+)+) kB/.exec(line) ?? [];
  if (words === undefined) return undefined;
  const of = (name: string) => Number(new RegExp(String.raw` ${name}:(\d+)`).exec(words)?.[1] ?? Number.NaN) * 1024;
  return {
    resident: of('VmRSS'),
    residentMost: of('VmHWM'),
    anonymous: of('RssAnon'),
    available: of('MemAvailable'),
  };
}
