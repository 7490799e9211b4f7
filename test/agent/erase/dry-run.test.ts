import { readFile } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { openChain } from '../../../agent/erase/chain.ts';
import { eraseDevices } from '../../../agent/erase/erase-devices.ts';
import type { Plan } from '../../../agent/erase/plan.ts';
import { plansText } from '../../../cli/plans.ts';
import { judgeEvidence } from '../../../evidence/judge.ts';
import { erasableMachine, type FakeDisk } from '../../fakes/erasable-machine.ts';

const DISKS: FakeDisk[] = [
  { kind: 'virtio' },
  { kind: 'sata', abilities: ['security'] },
  { kind: 'nvme', abilities: ['format', 'crypto'] },
  { kind: 'virtio', readOnly: true },
];

test.each(['erase_devices', 'erase_devices_express'] as const)(
  'a dry run of %s changes nothing, and what is carried out afterwards is its plan',
  async (step) => {
    await using machine = await erasableMachine(DISKS);
    const { os, disks } = machine;
    const log: string[] = [];
    const run = (args: Record<string, unknown>) =>
      eraseDevices(
        os,
        { uuid: 'n0de', driver_internal_info: { agent_erase_skip_read_only: true } },
        {
          step,
          args,
          guard: { guardSpecialFilesystems: true, guardContents: [], guardRemovable: false },
          chain: () => openChain(os.files),
          machine: { serial: null, vendor: null, product: null },
          signal: new AbortController().signal,
          progress: () => undefined,
          log: (message) => log.push(message),
        },
      );
    const dry = (await run({ dry_run: true })) as Record<string, { plan?: Plan; left?: string }>;
    expect(Object.keys(dry).toSorted()).toEqual(disks.map(({ path }) => path).toSorted());
    for (const disk of disks) expect((await readFile(disk.file)).equals(disk.before)).toBe(true);
    expect(await os.files.read('/run/ingot/evidence/key.pem')).toBeUndefined();
    const text = plansText([{ step, plan: dry }]);
    for (const { path, readOnly } of disks) expect(text).toContain(readOnly ? `${path}: left as it is: ` : `${path}: `);
    expect(text).toMatch(/less than a minute|about \d/);

    await run({});
    const { records, faults } = judgeEvidence((await os.files.read('/run/ingot/evidence/records.jsonl')) ?? '');
    expect(faults).toEqual([]);
    expect(records).toHaveLength(3);
    for (const { disk, plan, attempts } of records) {
      const { methods, excluded } = dry[disk.path]?.plan ?? {};
      expect(plan).toEqual({ methods, excluded });
      expect(attempts.map(({ method }) => method)).toEqual([methods?.[0]?.method]);
    }
  },
);
