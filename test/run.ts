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

type Count = { passed: number; failed: number; skipped: number };

const CHECKS: readonly { name: string; command: readonly [string, ...string[]] }[] = [
  { name: 'types', command: ['tsc'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'format', command: ['oxfmt', '--check'] },
];

const PROJECTS = ['unit', 'live'] as const;

function inherit(file: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = systemStart(file, args, { stdio: 'inherit', env: { FORCE_COLOR: '0', CI: process.env['CI'] ?? '' } });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

async function runCheck({ name, command: [file, ...args] }: (typeof CHECKS)[number]): Promise<Count> {
  const start = performance.now();
  const ok = (await inherit(`node_modules/.bin/${file}`, args)) === 0;
  console.log(`${ok ? 'ok' : 'FAILED'}: ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 };
}

/** A run that ends without a report, or with an error outside of any test, is a failure of its own. */
async function runProject(project: string, folder: string): Promise<Count> {
  const report = join(folder, `${project}.json`);
  const code = await inherit('node_modules/.bin/vitest', [
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ]);
  try {
    const result = JSON.parse(readFileSync(report, 'utf8')) as Record<
      'numPassedTests' | 'numFailedTests' | 'numPendingTests',
      number
    >;
    const failed = result.numFailedTests === 0 && code !== 0 ? 1 : result.numFailedTests;
    return { passed: result.numPassedTests, failed, skipped: result.numPendingTests };
  } catch {
    console.log(`FAILED: the ${project} tests left no report`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

const folder = await mkdtemp(join(tmpdir(), 'ingot-test-'));
const counts: Count[] = [];
try {
  for (const check of CHECKS) counts.push(await runCheck(check));
  for (const project of PROJECTS) {
    const count = await runProject(project, folder);
    counts.push(count);
    // Minutes of virtual machines tell nothing that a failed unit test has not told.
    if (count.failed > 0) break;
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
const sum = (key: keyof Count) => counts.reduce((total, count) => total + count[key], 0);
console.log(
  `${sum('passed')} passed, ${sum('failed')} failed${sum('skipped') > 0 ? `, ${sum('skipped')} skipped` : ''}`,
);
process.exitCode = sum('failed') === 0 ? 0 : 1;
