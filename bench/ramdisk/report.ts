import { formatBytes } from '../../cli/progress.ts';
import type { Search } from '../bisection.ts';
import { ratios, type Summary, summarize } from '../statistics.ts';
import { columns, ratioText } from '../text.ts';
import type { Ramdisk } from './contender.ts';
import type { DeployResult, StartResult } from './runs.ts';
import type { Leg } from './waterfall.ts';

/** Everything that was measured of one ramdisk; the n-th of each list is of the n-th round. */
export type Measured = {
  ramdisk: Ramdisk;
  starts: Omit<StartResult, 'boot'>[];
  deployments: Omit<DeployResult, 'boot'>[];
  /** MiB of the machine's memory. */
  smallestStart: Search | undefined;
  smallestDeployment: Search | undefined;
};

export type Conditions = {
  /** ISO 8601. */
  date: string;
  acceleration: string;
  memoryMiB: number;
  memoryStepMiB: number;
  processors: string;
  /** Load average over a minute before, and its mean over the run. */
  loadBefore: number;
  loadMean: number;
  image: { bytes: number; virtualBytes: number };
};

/** One comparison: Ingot's figure over the peer's. */
export type Row = {
  name: string;
  unit: 's' | 'bytes' | 'MiB';
  own: Summary | undefined;
  peer: Summary | undefined;
  ratio: Summary | undefined;
  /** At most this ratio is wanted. */
  goal?: number;
};

export type Report = { conditions: Conditions; rows: Row[]; own: Measured; peer: Measured };

type Figures = (measured: Measured) => (number | undefined)[];

/** A single figure is its own median. */
const once =
  (pick: (measured: Measured) => number | undefined): Figures =>
  (measured) => [pick(measured)];

type RowRule = { name: string; unit: Row['unit']; of: Figures; goal?: number };

const ROWS: readonly RowRule[] = [
  { name: 'power-on to first lookup', unit: 's', of: ({ starts }) => starts.map((one) => one.lookupSeconds) },
  {
    name: 'power-on to first accepted heartbeat',
    unit: 's',
    of: ({ starts }) => starts.map((one) => one.heartbeatSeconds),
    goal: 0.35,
  },
  {
    name: '  the host’s processor time until then',
    unit: 's',
    of: ({ starts }) => starts.map((one) => one.processorSeconds),
  },
  {
    name: 'kernel and initramfs',
    unit: 'bytes',
    of: once(({ ramdisk }) => ramdisk.kernelBytes + ramdisk.initramfsBytes),
    goal: 0.25,
  },
  { name: 'fetched by the firmware', unit: 'bytes', of: ({ starts }) => starts.map((one) => one.fetchedBytes) },
  {
    name: "agent's resident memory, idle",
    unit: 'bytes',
    of: ({ starts }) => starts.map((one) => one.residentBytes),
  },
  {
    name: '  of that anonymous, not files of the ramdisk',
    unit: 'bytes',
    of: ({ starts }) => starts.map((one) => one.anonymousBytes),
  },
  {
    name: "agent's resident memory after a deployment",
    unit: 'bytes',
    of: ({ deployments }) => deployments.map((one) => one.residentBytes),
  },
  {
    name: "agent's resident memory, most in a deployment",
    unit: 'bytes',
    of: ({ deployments }) => deployments.map((one) => one.residentMostBytes),
  },
  { name: 'deployment of the qcow2 image', unit: 's', of: ({ deployments }) => deployments.map((one) => one.seconds) },
  {
    name: 'smallest memory that reaches a heartbeat',
    unit: 'MiB',
    of: once(({ smallestStart }) => smallestStart?.smallest),
    goal: 0.4,
  },
  {
    name: 'smallest memory that deploys a qcow2 image',
    unit: 'MiB',
    of: once(({ smallestDeployment }) => smallestDeployment?.smallest),
    goal: 0.4,
  },
];

/** Puts the figures of both side by side. */
export function compare(conditions: Conditions, own: Measured, peer: Measured): Report {
  const rows = ROWS.map(({ name, unit, of, goal }): Row => {
    const [mine, theirs] = [of(own), of(peer)];
    return {
      name,
      unit,
      own: summarize(mine),
      peer: summarize(theirs),
      ratio: ratios(mine, theirs),
      ...(goal !== undefined && { goal }),
    };
  });
  return { conditions, rows, own, peer };
}

const UNITS: Record<Row['unit'], (value: number) => string> = {
  s: (value) => `${value.toFixed(1)} s`,
  bytes: formatBytes,
  MiB: (value) => `${value} MiB`,
};

function verdict({ ratio, goal }: Row): string {
  if (goal === undefined || ratio === undefined) return '';
  return ratio.median <= goal ? `goal ${goal}: met` : `goal ${goal}: MISSED`;
}

/** Each leg's median over the starts in which it was seen, in the order in which they came. */
export function medianLegs(starts: readonly { legs: readonly Leg[] }[]): Leg[] {
  const names: string[] = [];
  for (const { legs } of starts) for (const { name } of legs) if (!names.includes(name)) names.push(name);
  return names.map((name) => {
    const seen = starts.flatMap(({ legs }) => legs.filter((leg) => leg.name === name).map(({ seconds }) => seconds));
    return { name, seconds: summarize(seen)?.median ?? Number.NaN };
  });
}

function waterfallTable(own: Measured, peer: Measured): string[] {
  const [mine, theirs] = [medianLegs(own.starts), medianLegs(peer.starts)];
  const names = [...new Set([...mine, ...theirs].map(({ name }) => name))];
  const of = (legs: readonly Leg[], name: string) => {
    const leg = legs.find((one) => one.name === name);
    return leg === undefined ? '-' : `${leg.seconds.toFixed(1)} s`;
  };
  return columns([
    ['', own.ramdisk.name, peer.ramdisk.name],
    ...names.map((name) => [name, of(mine, name), of(theirs, name)]),
  ]);
}

function failures({ ramdisk, starts, deployments }: Measured): string[] {
  return [...starts, ...deployments].flatMap(({ why }) => (why === undefined ? [] : [`${ramdisk.name}: ${why}`]));
}

/** The report for people. */
export function reportText({ conditions, rows, own, peer }: Report): string {
  const median = (row: Row, summary: Summary | undefined) =>
    summary === undefined ? 'not measured' : UNITS[row.unit](summary.median);
  const table = columns([
    ['', own.ramdisk.name, peer.ramdisk.name, 'ratio (lowest to highest)', ''],
    ...rows.map((row) => [row.name, median(row, row.own), median(row, row.peer), ratioText(row.ratio), verdict(row)]),
  ]);
  const { image } = conditions;
  return [
    ...table,
    '',
    'Where the time to the heartbeat goes (medians)',
    ...waterfallTable(own, peer),
    '',
    `${own.ramdisk.name}: ${own.ramdisk.description}`,
    `${peer.ramdisk.name}: ${peer.ramdisk.description}`,
    `${conditions.date}, ${conditions.acceleration} on ${conditions.processors}, load ${conditions.loadMean.toFixed(1)} (${conditions.loadBefore.toFixed(1)} before)`,
    `machine: 2 processors, ${conditions.memoryMiB} MiB, UEFI network boot; ${own.starts.length} rounds in turn`,
    `smallest memory: found by halving, in steps of ${conditions.memoryStepMiB} MiB, both with rootfstype=ramfs`,
    `image: qcow2 of ${formatBytes(image.bytes)} for a disk of ${formatBytes(image.virtualBytes)}`,
    ...[...failures(own), ...failures(peer)].map((line) => `without a figure: ${line}`),
    '',
  ].join('\n');
}
