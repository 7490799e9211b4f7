import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { AgentOs } from '../../agent/os/door.ts';
import { Failure } from '../../system/failure.ts';
import type { Run } from '../../system/run.ts';
import { fakeOs } from './agent-os.ts';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'machines');

/** What test/fixtures/machines/record.mjs reads; `bytes` are base64. */
type Sysfs = {
  totalMemoryBytes?: number;
  files: Record<string, string>;
  bytes?: Record<string, string>;
  links: Record<string, string>;
};

export function fixture(machine: string, file: string): string {
  return readFileSync(join(FIXTURES, machine, file), 'utf8');
}

/** Files and links of a machine's /sys, /proc and /dev; a link is followed wherever it stands in a path. */
function sysfsFiles({ files, bytes = {}, links }: Sysfs): AgentOs['files'] {
  const all = { ...fakeOs().files };
  const names = [...Object.keys(files), ...Object.keys(bytes), ...Object.keys(links)];
  return {
    ...all,
    read: async (path) => files[path],
    readBytes: async (path) => (bytes[path] === undefined ? undefined : Buffer.from(bytes[path], 'base64')),
    list: async (path) => {
      const below = names.filter((name) => name.startsWith(`${path}/`)).map((name) => name.slice(path.length + 1));
      return [...new Set(below.map((name) => name.split('/')[0] ?? ''))];
    },
    resolve: async (path) =>
      links[path] ?? (names.some((name) => name === path || name.startsWith(`${path}/`)) ? path : undefined),
    exists: async (path) => names.some((name) => name === path || name.startsWith(`${path}/`)),
  };
}

/**
 * A machine of test/fixtures/machines. Programs other than those that look (lsblk, lscpu, udevadm) answer from `run`.
 */
export function machineOs(machine: string, parts: Partial<AgentOs> = {}): AgentOs & { calls: string[] } {
  const calls: string[] = [];
  const optional = (file: string, otherwise: string) => {
    try {
      return fixture(machine, file);
    } catch {
      return otherwise;
    }
  };
  const udev = JSON.parse(optional('udev.json', '{}')) as Record<string, string>;
  const blocks = JSON.parse(optional('lsblk.json', '{"blockdevices":[]}')) as {
    blockdevices: { kname: string; 'maj:min'?: string }[];
  };
  const run: Run = async (file, args, options) => {
    calls.push([file, ...args].join(' '));
    const answer = (stdout: string) => ({ stdout, stderr: '', exitCode: 0 });
    if (file === 'lsblk') return answer(fixture(machine, 'lsblk.json'));
    if (file === 'lscpu') return answer(fixture(machine, 'lscpu.json'));
    if (file === 'udevadm' && args[0] === 'settle') return answer('');
    if (parts.run) return parts.run(file, args, options);
    throw new Failure('COMMAND_FAILED', `cannot run ${file}: it is not on this machine`);
  };
  const sysfs = JSON.parse(optional('sysfs.json', '{"files":{},"links":{}}')) as Sysfs;
  // udev.json has what `udevadm info --query=property` prints; udev keeps the same by the numbers of devices.
  const knames = [...new Set(blocks.blockdevices.map(({ kname }) => kname))];
  const kept = knames.flatMap((kname, index): [string, string][] => {
    const number = blocks.blockdevices.find((block) => block.kname === kname)?.['maj:min'] ?? `259:${1000 + index}`;
    const properties = udev[kname]?.replaceAll(/^(?=.)/gm, 'E:');
    return [
      [`/sys/class/block/${kname}/dev`, `${number}\n`],
      ...(properties === undefined ? [] : [[`/run/udev/data/b${number}`, properties] as [string, string]]),
    ];
  });
  const machineParts = {
    files: sysfsFiles({ ...sysfs, files: { ...Object.fromEntries(kept), ...sysfs.files } }),
    ...(sysfs.totalMemoryBytes !== undefined && { totalMemoryBytes: () => sysfs.totalMemoryBytes ?? 0 }),
  };
  return { ...fakeOs(machineParts), ...parts, run, calls };
}
