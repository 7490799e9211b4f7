import { formatBytes, formatSeconds } from '../../../cli/progress.ts';
import { FIRST_HEARTBEAT, type Moment, POWER_ON, type Timeline, WRITE_BEGIN, WRITE_END } from './timeline.ts';

/** What `out/demo/report.json` holds. Sizes in bytes, times in seconds; null where it was not measured. */
export type DemoReport = {
  result: 'passed';
  hostname: string;
  /** Whether the conductor was killed and started anew in the middle, which only tests ask for. */
  conductorKilled: boolean;
  acceleration: string;
  machineMemoryMiB: number;
  kernelBytes: number;
  initramfsBytes: number;
  powerOnToFirstHeartbeatSeconds: number | null;
  /** The most that it had in any of its commands. */
  agentResidentBytes: number | null;
  imageBytes: number;
  imageVirtualBytes: number;
  imageWriteSeconds: number | null;
  imageBytesPerSecond: number | null;
  /** The disk that the system runs from, as the system itself says. */
  rootDisk: string;
  steps: { name: string; seconds: number }[];
  moments: Moment[];
};

/** The agent's own word about its memory, on the console. */
const RESIDENT = /resident memory [\d.]+ MB, at most (\d+(?:\.\d+)?) MB/;

/** @returns the most that the agent ever had, by the lines of the serial console, bytes */
export function residentBytes(lines: readonly string[]): number | null {
  const figures = lines.flatMap((line) => RESIDENT.exec(line)?.[1] ?? []).map((text) => Number(text) * 1e6);
  return figures.length === 0 ? null : Math.max(...figures);
}

/** The part of the report that follows from when things happened. */
export function timesOf(timeline: Timeline, imageBytes: number) {
  const seconds = timeline.between(WRITE_BEGIN, WRITE_END) ?? null;
  return {
    powerOnToFirstHeartbeatSeconds: timeline.between(POWER_ON, FIRST_HEARTBEAT) ?? null,
    imageWriteSeconds: seconds,
    imageBytesPerSecond: seconds === null || seconds === 0 ? null : Math.round(imageBytes / seconds),
    moments: timeline.moments(),
  };
}

function orUnknown(value: number | null, show: (value: number) => string): string {
  return value === null ? 'not measured' : show(value);
}

/** The table at the end of the demo. */
export function reportTable(report: DemoReport): string {
  const facts: [string, string][] = [
    ['host name, read over SSH', report.hostname],
    ['it runs from', report.rootDisk],
    ['emulation', `${report.acceleration}, ${report.machineMemoryMiB} MiB of memory`],
    ['kernel', formatBytes(report.kernelBytes)],
    ['initramfs', formatBytes(report.initramfsBytes)],
    ['kernel and initramfs', formatBytes(report.kernelBytes + report.initramfsBytes)],
    ['power-on to first heartbeat', orUnknown(report.powerOnToFirstHeartbeatSeconds, formatSeconds)],
    ["agent's resident memory, at most", orUnknown(report.agentResidentBytes, formatBytes)],
    ['image, qcow2', `${formatBytes(report.imageBytes)} for a disk of ${formatBytes(report.imageVirtualBytes)}`],
    ['image written in', orUnknown(report.imageWriteSeconds, formatSeconds)],
    ['image rate', orUnknown(report.imageBytesPerSecond, (rate) => `${formatBytes(rate)}/s`)],
  ];
  const steps = report.steps.map(({ name, seconds }): [string, string] => [name, formatSeconds(seconds)]);
  const moments = report.moments.map(({ name, seconds }): [string, string] => [name, `at ${formatSeconds(seconds)}`]);
  const width = Math.max(...[...facts, ...steps, ...moments].map(([name]) => name.length)) + 2;
  const rows = (list: readonly [string, string][]) => list.map(([name, value]) => `  ${name.padEnd(width)}${value}`);
  return ['Result', ...rows(facts), 'Steps', ...rows(steps), 'States', ...rows(moments)].join('\n');
}
