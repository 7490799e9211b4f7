import { formatBytes } from '../../cli/progress.ts';
import type { Cost } from '../measure.ts';
import { ratios, type Summary, summarize } from '../statistics.ts';
import { columns, ratioText } from '../text.ts';
import type { Scenario } from './scenarios.ts';

/** One run of one contender. */
export type RunResult = Partial<Cost> & {
  /** Processor time of the whole machine meanwhile. */
  machineSeconds?: number;
  /** Why there are no figures, or why they do not count. */
  why?: string;
};

/** All runs of one contender; the n-th is of the n-th round. */
export type Series = { name: string; runs: RunResult[] };
export type ScenarioResult = Scenario & { series: Series[] };

export type Conditions = {
  /** ISO 8601. */
  date: string;
  processors: string;
  loadBefore: number;
  loadMean: number;
  rounds: number;
  disks: number;
  diskBytes: number;
  /** Of the slow loop devices. */
  bytesPerSecond: number;
  /** What could not be measured on this machine, and why. */
  left: string[];
  versions: Record<string, string>;
};

/** `value` is at least `limit`. */
export type Goal = { scenario: Scenario; limit: number; value: Summary | undefined; met: boolean | undefined };

/** How much sooner all disks are done in parallel: the time of one after the other through this one. */
export type Gain = { medium: Scenario['medium']; name: string; value: Summary };

export type Report = { conditions: Conditions; scenarios: ScenarioResult[]; goals: Goal[]; gains: Gain[] };

const OWN = 'Ingot';
const OF_DD = 0.95;

type Figure = (run: RunResult) => number | undefined;
const wall: Figure = ({ wallSeconds }) => wallSeconds;

function figures({ series }: ScenarioResult, name: string, figure: Figure): (number | undefined)[] {
  return (
    series.find((one) => one.name === name)?.runs.map((run) => (run.why === undefined ? figure(run) : undefined)) ?? []
  );
}

function goalOf(result: ScenarioResult): Goal {
  const { medium, content, disks, together } = result;
  const value = ratios(figures(result, 'dd', wall), figures(result, OWN, wall));
  return {
    scenario: { medium, content, disks, together },
    limit: OF_DD,
    value,
    met: value === undefined ? undefined : value.median >= OF_DD,
  };
}

function gainsOf(scenarios: readonly ScenarioResult[]): Gain[] {
  return scenarios
    .filter(({ disks, together }) => disks === 'all' && !together)
    .flatMap((apart) => {
      const side = scenarios.find(
        (one) => one.medium === apart.medium && one.content === apart.content && one.disks === 'all' && one.together,
      );
      if (side === undefined) return [];
      return apart.series.flatMap(({ name }) => {
        const value = ratios(figures(apart, name, wall), figures(side, name, wall));
        return value === undefined ? [] : [{ medium: apart.medium, name, value }];
      });
    });
}

export function makeReport(conditions: Conditions, scenarios: ScenarioResult[]): Report {
  return { conditions, scenarios, goals: scenarios.map(goalOf), gains: gainsOf(scenarios) };
}

const MEDIA: Record<Scenario['medium'], string> = {
  files: 'files',
  loops: 'loop devices of these files',
  slow: 'loop devices as slow as disks',
};

function title({ medium, content, disks, together }: Scenario, { disks: count }: Conditions): string {
  const way = together ? 'in parallel' : 'one after the other';
  return `${content}, ${disks === 'one' ? 'one' : `${count} ${way}`}, ${MEDIA[medium]}`;
}

function table(result: ScenarioResult): string[] {
  const cell = (name: string, figure: Figure) => {
    const summary = summarize(figures(result, name, figure));
    return summary === undefined ? '-' : `${summary.median.toFixed(2)} s`;
  };
  return columns([
    ['', 'wall', 'it / Ingot', 'CPU', 'CPU of the machine'],
    ...result.series.map(({ name }) => [
      name,
      cell(name, wall),
      name === OWN ? '' : ratioText(ratios(figures(result, name, wall), figures(result, OWN, wall))),
      cell(name, ({ processorSeconds }) => processorSeconds),
      cell(name, ({ machineSeconds }) => machineSeconds),
    ]),
  ]);
}

/** The report for people. */
export function reportText({ conditions, scenarios, goals, gains }: Report): string {
  const { date, processors, loadMean, loadBefore, rounds, diskBytes, bytesPerSecond, left, versions } = conditions;
  const complaints = scenarios.flatMap((result) =>
    result.series.flatMap(({ name, runs }) =>
      [...new Set(runs.flatMap(({ why }) => why ?? []))].map(
        (why) => `${title(result, conditions)}, ${name}: no figures: ${why.replaceAll('\n', ' | ')}`,
      ),
    ),
  );
  return [
    ...scenarios.flatMap((result) => [title(result, conditions), ...table(result), '']),
    'In parallel, times as fast as one after the other',
    ...columns(gains.map(({ medium, name, value }) => [MEDIA[medium], name, ratioText(value)])),
    '',
    `Speed of Ingot over that of dd, goal: at least ${OF_DD}`,
    ...goals.map(
      ({ scenario, value, met }) =>
        `${(met === undefined ? 'not measured' : met ? 'met' : 'MISSED').padEnd(12)} ${title(scenario, conditions)}: ${ratioText(value)}`,
    ),
    '',
    ...complaints,
    ...left,
    `${date}, ${processors}, load ${loadMean.toFixed(1)} (${loadBefore.toFixed(1)} before), ${rounds} rounds in turn`,
    `disks of ${formatBytes(diskBytes)}; slow ones take ${formatBytes(bytesPerSecond)} a second`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    '',
  ].join('\n');
}
