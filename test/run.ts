/**
 * `npm test`: everything that CI runs, fast things first, and one last line that counts: `N passed, N failed`.
 *
 * The checks (types, lint, format) count as one test each, so that a red check is a failed test and no check
 * can be skipped without the count saying so.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemStart } from '../system/run.ts';

import { failuresOf, type Report } from './run-report.ts';

type Count = { passed: number; failed: number; skipped: number; failures: string[] };

const CHECKS: readonly { name: string; command: readonly [string, ...string[]] }[] = [
  { name: 'types', command: ['tsc'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'format', command: ['oxfmt', '--check'] },
];

/** Parts that arguments can choose, in the order in which they run; those of one row run together, from one queue of test files. */
const PARTS = [['checks'], ['unit'], ['live', 'interop']] as const;

/** Runs a tool of node_modules with this very Node: what `#!/usr/bin/env node` finds may be the host's older one. */
function runTool(name: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = systemStart(process.execPath, [`node_modules/.bin/${name}`, ...args], {
      stdio: 'inherit',
      env: { FORCE_COLOR: '0', CI: process.env['CI'] ?? '' },
    });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

async function runCheck({ name, command: [file, ...args] }: (typeof CHECKS)[number]): Promise<Count> {
  const start = performance.now();
  const ok = (await runTool(file, args)) === 0;
  console.log(`${ok ? 'ok' : 'FAILED'}: ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0, failures: ok ? [] : [`check: ${name}`] };
}

/** A run that ends without a report, or with an error outside of any test, is a failure of its own. */
async function runProjects(projects: readonly string[], folder: string): Promise<Count> {
  const names = projects.join(' and ');
  const report = join(folder, `${projects.join('-')}.json`);
  const code = await runTool('vitest', [
    'run',
    ...projects.flatMap((project) => ['--project', project]),
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ]);
  try {
    const result = JSON.parse(readFileSync(report, 'utf8')) as Report;
    const failures = failuresOf(result, process.cwd());
    if (code !== 0 && failures.length === 0) failures.push(`${names}: an error outside of any test, see above`);
    // A file that fails before its tests has no failed test in vitest's own count.
    return { passed: result.numPassedTests, failed: failures.length, skipped: result.numPendingTests, failures };
  } catch {
    return { passed: 0, failed: 1, skipped: 0, failures: [`${names}: its tests left no report`] };
  }
}

async function runParts(parts: readonly string[], folder: string): Promise<Count[]> {
  if (!parts.includes('checks')) return [await runProjects(parts, folder)];
  const counts: Count[] = [];
  for (const check of CHECKS) counts.push(await runCheck(check));
  return counts;
}

const chosen = process.argv.slice(2);
const known: readonly string[] = PARTS.flat();
const unknown = chosen.filter((part) => !known.includes(part));
if (unknown.length > 0) {
  console.error(`cannot run ${unknown.join(', ')}: there is ${known.join(', ')}`);
  process.exit(2);
}
const folder = await mkdtemp(join(tmpdir(), 'ingot-test-'));
const counts: Count[] = [];
try {
  for (const row of PARTS) {
    const parts = row.filter((one) => chosen.length === 0 || chosen.includes(one));
    if (parts.length === 0) continue;
    counts.push(...(await runParts(parts, folder)));
    // Minutes of virtual machines tell nothing that a failed unit test has not told.
    if (parts.some((one) => one === 'unit') && counts.some(({ failed }) => failed > 0)) break;
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
const sum = (key: 'passed' | 'failed' | 'skipped') => counts.reduce((total, count) => total + count[key], 0);
for (const failure of counts.flatMap(({ failures }) => failures)) console.log(`FAILED: ${failure}`);
console.log(
  `${sum('passed')} passed, ${sum('failed')} failed${sum('skipped') > 0 ? `, ${sum('skipped')} skipped` : ''}`,
);
process.exitCode = sum('failed') === 0 ? 0 : 1;
