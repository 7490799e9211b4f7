import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { systemRun } from '../../system/run.ts';
import { processesNaming } from '../lab/processes.ts';
import type { InteropReport } from './ironic/report.ts';

// The command that docs/interop-ironic.md describes, as a user runs it. CI has time for these flows; the others take longer.
test('a stock Ironic inspects, cleans and deploys a machine with 1 GiB, and the system on it answers', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-interop-'));
  try {
    const flows = ['inspect', 'clean', 'deploy-qcow2'];
    const { stdout } = await systemRun(
      process.execPath,
      ['test/interop/ironic/main.ts', '--json', '--out', folder, ...flows],
      { onLine: (line) => process.stdout.write(`${line}\n`) },
    ).catch(async (error: unknown) => {
      const log = await readFile(join(folder, 'ironic.log'), 'utf8').catch(() => '');
      const warnings = log.split('\n').filter((line) => / (?:WARNING|ERROR) /.test(line));
      throw new Error(`${String(error)}\nIronic's own warnings:\n${warnings.slice(-30).join('\n')}`, { cause: error });
    });
    const report = JSON.parse(stdout) as InteropReport;
    expect(report).toMatchObject({ result: 'passed', machineMemoryMiB: 1024 });
    expect(report.flows.map(({ flow, result }) => [flow, result])).toEqual(
      ['manage', ...flows].map((flow) => [flow, 'passed']),
    );
    expect(report.versions['ironic-common']).toMatch(/\d/);
    expect(report.flows.at(-1)?.facts).toMatchObject({ hostname: 'interop-qcow2', rootDisk: 'LAB-NVME-2' });
    // As Ironic's own default demands.
    for (const { flow, facts } of report.flows.filter((one) => /clean|deploy/.test(one.flow)))
      expect([flow, facts['agentUrls']]).toEqual([flow, expect.stringMatching(/^https:/)]);
    // Nothing stays behind: no process, and no mount (which would keep the folder from going).
    expect(await processesNaming(folder)).toEqual([]);
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
