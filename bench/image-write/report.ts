import { formatBytes } from '../../cli/progress.ts';
import { median, ratios, type Summary, summarize } from '../statistics.ts';
import { columns, ratioText } from '../text.ts';
import type { ImageName } from './images.ts';
import type { Cost } from '../measure.ts';

/** One run of one contender; `writtenBytes` is what the device's file has blocks for afterwards. */
export type RunResult = Partial<Cost> & {
  writtenBytes?: number;
  /** Of a file in a tmpfs. */
  memoryFileBytes?: number;
  /** Why there are no figures, or why they do not count. */
  why?: string;
};

/** All runs of one contender on one image; the n-th is of the n-th round. */
export type Series = { name: string; kind: 'own' | 'peer' | 'stage' | 'extra'; runs: RunResult[] };

export type ImageResult = { image: ImageName; fileBytes: number; series: Series[] };

export type Conditions = {
  /** ISO 8601. */
  date: string;
  processors: string;
  loadBefore: number;
  loadMean: number;
  rounds: number;
  virtualBytes: number;
  allocatedBytes: number;
  /** What the versions of the peers are. */
  versions: Record<string, string>;
};

export type Goal = {
  image: ImageName;
  name: string;
  /** At most this; below it where `isBelow`. */
  limit: number;
  isBelow: boolean;
  unit: 'ratio' | 'bytes';
  value: Summary | undefined;
  met: boolean | undefined;
};

export type Report = { conditions: Conditions; images: ImageResult[]; goals: Goal[] };

const FLOOR = 1.25;
const IPA = 0.5;
const WRITTEN = 1.02;
const RESIDENT_BYTES = 150e6;

type Figure = (run: RunResult) => number | undefined;
const wall: Figure = ({ wallSeconds }) => wallSeconds;

function figures({ series }: ImageResult, name: string, figure: Figure): (number | undefined)[] {
  return (
    series.find((one) => one.name === name)?.runs.map((run) => (run.why === undefined ? figure(run) : undefined)) ?? []
  );
}

/** Of each round the slowest stage; without one of them there is no floor. */
export function floorOf({ series }: ImageResult): (number | undefined)[] {
  const stages = series.filter(({ kind }) => kind === 'stage');
  const rounds = Math.max(0, ...stages.map(({ runs }) => runs.length));
  return Array.from({ length: rounds }, (_, round) => {
    const times = stages.map(({ runs }) => runs[round]?.wallSeconds);
    return times.length > 0 && times.every((time) => time !== undefined) ? Math.max(...times) : undefined;
  });
}

function goal(fixed: Omit<Goal, 'met' | 'isBelow'> & { isBelow?: boolean }): Goal {
  const { value, limit, isBelow = false } = fixed;
  const met = value === undefined ? undefined : isBelow ? value.median < limit : value.median <= limit;
  return { ...fixed, isBelow, met };
}

/** The goals of an image, in which a peer that cannot write it has no part. */
export function goalsOf(result: ImageResult, allocatedBytes: number, own = 'Ingot'): Goal[] {
  const { image } = result;
  const mine = figures(result, own, wall);
  const against = (name: string) => figures(result, name, wall);
  const has = (name: string) => result.series.some((one) => one.name === name);
  const ratio = (name: string, limit: number, others: (number | undefined)[], isBelow = false) =>
    goal({ image, name, limit, isBelow, unit: 'ratio', value: ratios(mine, others) });
  return [
    ratio('wall time over the floor', FLOOR, floorOf(result)),
    ...(has('IPA’s way') ? [ratio('wall time over IPA’s way', IPA, against('IPA’s way'))] : []),
    ...(has('curl|tee|dd') ? [ratio('wall time over curl|tee|dd', 1, against('curl|tee|dd'), true)] : []),
    goal({
      image,
      name: 'bytes written over bytes allocated',
      limit: WRITTEN,
      unit: 'ratio',
      value: summarize(figures(result, own, ({ writtenBytes }) => writtenBytes && writtenBytes / allocatedBytes)),
    }),
    goal({
      image,
      name: 'peak resident memory',
      limit: RESIDENT_BYTES,
      unit: 'bytes',
      value: summarize(figures(result, own, ({ residentBytes }) => residentBytes)),
    }),
  ];
}

export function makeReport(conditions: Conditions, images: ImageResult[]): Report {
  return { conditions, images, goals: images.flatMap((one) => goalsOf(one, conditions.allocatedBytes)) };
}

const seconds = (value: number) => `${value.toFixed(2)} s`;

function cell(runs: readonly RunResult[], figure: Figure, show: (value: number) => string): string {
  const summary = summarize(runs.map((run) => (run.why === undefined ? figure(run) : undefined)));
  return summary === undefined ? '-' : show(summary.median);
}

function table(result: ImageResult): string[] {
  const mine = figures(result, 'Ingot', wall);
  const rows = result.series.map(({ name, kind, runs }) => [
    kind === 'stage' || kind === 'extra' ? `  ${name}` : name,
    cell(runs, wall, seconds),
    kind === 'own' ? '' : ratioText(ratios(mine, figures(result, name, wall))),
    cell(runs, ({ processorSeconds }) => processorSeconds, seconds),
    cell(runs, ({ residentBytes }) => residentBytes, formatBytes),
    cell(runs, ({ memoryFileBytes }) => memoryFileBytes, formatBytes),
    cell(runs, ({ writtenBytes }) => writtenBytes, formatBytes),
  ]);
  const floor = floorOf(result).filter((value) => value !== undefined);
  const floorRow = [
    '  floor: the slowest stage',
    floor.length === 0 ? '-' : seconds(median(floor)),
    ratioText(ratios(mine, floorOf(result))),
  ];
  return columns([
    ['', 'wall', 'Ingot / it', 'CPU', 'resident', 'in tmpfs', 'written'],
    ...rows,
    floorRow.concat('', '', '', ''),
  ]);
}

function goalLine({ image, name, limit, isBelow, unit, value, met }: Goal): string {
  const show = (one: number) => (unit === 'bytes' ? formatBytes(one) : one.toFixed(2));
  const verdict = met === undefined ? 'not measured' : met ? 'met' : 'MISSED';
  return `${verdict.padEnd(12)} ${image}: ${name} ${value ? show(value.median) : '-'}, goal: ${isBelow ? 'below' : 'at most'} ${show(limit)}`;
}

function complaints({ image, series }: ImageResult): string[] {
  return series.flatMap(({ name, runs }) =>
    [...new Set(runs.flatMap(({ why }) => why ?? []))].map(
      (why) => `${image}, ${name}: no figures: ${why.replaceAll('\n', ' | ')}`,
    ),
  );
}

/** The report for people. */
export function reportText({ conditions, images, goals }: Report): string {
  const { virtualBytes, allocatedBytes, rounds, loadMean, loadBefore, date, processors, versions } = conditions;
  return [
    ...images.flatMap((result) => [
      `${result.image}: a file of ${formatBytes(result.fileBytes)} (medians; ratios with lowest and highest)`,
      ...table(result),
      '',
    ]),
    'Goals',
    ...goals.map(goalLine),
    '',
    ...images.flatMap(complaints),
    `${date}, ${processors}, load ${loadMean.toFixed(1)} (${loadBefore.toFixed(1)} before), ${rounds} rounds in turn`,
    `disk of ${formatBytes(virtualBytes)} with data in ${formatBytes(allocatedBytes)}, onto a sparse file`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    '',
  ].join('\n');
}
