import type { SystemFiles } from './os/door.ts';

/** Bytes of a line of /proc/<pid>/status (proc_pid_status(5)): `VmRSS:     81234 kB`. */
function sizeOf(status: string, name: string): number | undefined {
  const kibibytes = new RegExp(String.raw`^${name}:\s+(\d+) kB$`, 'm').exec(status)?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/**
 * The agent's own memory as the kernel counts it, for the log: `resident memory 80.1 MB, at most 95.3 MB`.
 * @returns undefined where the kernel does not say
 */
export async function describeMemory(files: Pick<SystemFiles, 'read'>): Promise<string | undefined> {
  const status = (await files.read('/proc/self/status')) ?? '';
  const [now, most] = [sizeOf(status, 'VmRSS'), sizeOf(status, 'VmHWM')];
  if (now === undefined || most === undefined) return undefined;
  return `resident memory ${(now / 1e6).toFixed(1)} MB, at most ${(most / 1e6).toFixed(1)} MB`;
}
