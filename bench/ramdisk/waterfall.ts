import type { HeardLine } from './console.ts';
import type { Exchange } from './front.ts';

/** What was seen of one start; times in seconds since power-on. */
export type Boot = { lines: readonly HeardLine[]; exchanges: readonly Exchange[] };

export type Milestone = { name: string; seconds: number };
/** A piece of a start, named by what is going on in it. */
export type Leg = { name: string; seconds: number };

/** `[    1.234567] text`, as the kernel prints it. */
const PRINTK = /^\[\s*(\d+\.\d{6})\] (.*)$/;

type KernelLine = { at: number; kernelSeconds: number; text: string };

function kernelLines(lines: readonly HeardLine[]): KernelLine[] {
  return lines.flatMap(({ at, text }) => {
    const match = PRINTK.exec(text.trim());
    return match ? [{ at, kernelSeconds: Number(match[1]), text: match[2] ?? '' }] : [];
  });
}

/**
 * When a line was really printed. The console shows it late while it is busy, and the kernel's clock stands still for seconds while
 * it looks for a clock source (most of all under emulation), so that its distance to the host's clock only grows: the smallest
 * distance of this and all later lines is the truest.
 */
function hostTime(lines: readonly KernelLine[], line: KernelLine): number {
  const later = lines.slice(lines.indexOf(line)).filter((one) => one === line || one.kernelSeconds > 0);
  return line.kernelSeconds + Math.min(...later.map(({ at, kernelSeconds }) => at - kernelSeconds));
}

/** The legs of a start in their order: what goes on in one, and what on the console shows its end, by the host's clock. */
const CONSOLE_ENDS: readonly [leg: string, end: RegExp][] = [
  ['firmware', /iPXE initialising devices/],
  // Ingot's init, and systemd with networkd: the first address.
  ['network', /ingot: network: |Reached target .*network-online\.target|Reached target .*Network is Online/],
  [
    'services before the agent',
    /ingot: starting the agent|Start(?:ed|ing) .*(?:ironic-python-agent|Ironic Python Agent)/,
  ],
  [
    'agent loads, until its first word',
    /---- ingot-agent ---|: Did not identify any virtual media|Starting ironic-python-agent version/,
  ],
];

/** The same by the kernel's own clock. */
const KERNEL_ENDS: readonly [leg: string, end: RegExp][] = [
  ['kernel, until it unpacks', /^Trying to unpack rootfs image/],
  ['unpack', /^Freeing initrd memory/],
  ['kernel, after unpacking', /^Run \/\S+ as init process/],
  ['init and udev, until the network card has its driver and name', /: renamed from eth\d/],
];

const isLookup = ({ path }: Exchange) => path.startsWith('/v1/lookup');
const isHeartbeat = ({ path, method, status }: Exchange) =>
  method === 'POST' && path.startsWith('/v1/heartbeat/') && status === 202;

/** When the agent first asked for its node. @returns undefined when it did not */
export function firstLookup({ exchanges }: Boot): number | undefined {
  const begins = exchanges.filter(isLookup).map(({ begin }) => begin);
  return begins.length === 0 ? undefined : Math.min(...begins);
}

/** When the first heartbeat had been taken. */
export function firstHeartbeat({ exchanges }: Boot): number | undefined {
  return exchanges.find(isHeartbeat)?.end;
}

/** Bytes of what the machine fetched over HTTP before its kernel ran: boot script, kernel, initramfs. */
export function fetchedBytes({ exchanges }: Boot): number {
  return exchanges.filter(({ path }) => path.startsWith('/boot/')).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** All that is known of a start, in order of time. What was not seen is left out, and its time falls to the next. */
export function milestones(boot: Boot): Milestone[] {
  const { lines, exchanges } = boot;
  const found: Milestone[] = [];
  const note = (name: string, seconds: number | undefined) => {
    if (seconds !== undefined) found.push({ name, seconds });
  };
  for (const [name, end] of CONSOLE_ENDS) note(name, lines.find(({ text }) => end.test(text))?.at);
  const fetched = (name: string) => exchanges.find(({ path }) => path === `/boot/${name}`);
  note('iPXE and DHCP', fetched('deploy.kernel')?.begin);
  note('fetch kernel and initramfs', fetched('deploy.initramfs')?.end);
  const kernel = kernelLines(lines);
  const first = kernel.find(({ text }) => text.startsWith('Linux version '));
  if (first) note('boot loader, kernel unpacks itself', hostTime(kernel, first));
  for (const [name, end] of KERNEL_ENDS) {
    const line = kernel.find(({ text }) => end.test(text));
    if (line) note(name, hostTime(kernel, line));
  }
  note('agent, until it asks for its node', firstLookup(boot));
  note('agent, until its heartbeat is taken', firstHeartbeat(boot));
  return found.toSorted((a, b) => a.seconds - b.seconds);
}

/** Seconds between the milestones; they add up to the last one. */
export function waterfall(boot: Boot): Leg[] {
  let before = 0;
  return milestones(boot).map(({ name, seconds }) => {
    const leg = { name, seconds: seconds - before };
    before = seconds;
    return leg;
  });
}
