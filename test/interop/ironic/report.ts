import { formatSeconds } from '../../../cli/progress.ts';
import type { Facts, FlowName } from './flows.ts';

/** What `report.json` holds. Times in seconds. */
export type InteropReport = {
  result: 'passed' | 'failed';
  /** Debian versions of what took part. */
  versions: Record<string, string>;
  acceleration: string;
  machineMemoryMiB: number;
  /** In the order in which they ran; those after a failure did not. */
  flows: { flow: FlowName; result: 'passed' | 'failed'; seconds: number; facts: Facts; error?: string }[];
  steps: { name: string; seconds: number }[];
};

/** The table at the end of a run. */
export function reportTable(report: InteropReport): string {
  const versions = Object.entries(report.versions).map(([name, version]) => `${name} ${version}`);
  const rows = report.flows.map(
    ({ flow, result, seconds }) => `  ${flow.padEnd(16)}${result.padEnd(8)}${formatSeconds(seconds)}`,
  );
  return [versions.join(', '), `${report.acceleration}, ${report.machineMemoryMiB} MiB`, ...rows].join('\n');
}
