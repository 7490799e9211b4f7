import { expect, test } from 'vitest';

import type { Plan } from '../../../agent/erase/plan.ts';
import { plansText } from '../../../cli/plans.ts';
import { eraseMachine } from '../../fakes/erase-run.ts';
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
    const info = { agent_erase_skip_read_only: true };
    const dry = await eraseMachine(machine, { step, info, args: { dry_run: true } });
    const plans = dry.result as Record<string, { plan?: Plan; left?: string }>;
    expect(Object.keys(plans).toSorted()).toEqual(machine.disks.map(({ path }) => path).toSorted());
    for (const disk of dry.disks) expect((await dry.content(disk)).equals(disk.before)).toBe(true);
    expect(await machine.os.files.read('/run/ingot/evidence/key.pem')).toBeUndefined();
    const text = plansText([{ step, plan: plans }]);
    for (const { path, readOnly } of dry.disks)
      expect(text).toContain(readOnly ? `${path}: left as it is: ` : `${path}: `);
    expect(text).toMatch(/less than a minute|about \d/);

    const { records, faults, failure } = await eraseMachine(machine, { step, info });
    expect([failure, faults]).toEqual(['', []]);
    expect(records).toHaveLength(3);
    for (const { disk, plan, attempts } of records) {
      const { methods, excluded } = plans[disk.path]?.plan ?? {};
      expect(plan).toEqual({ methods, excluded });
      expect(attempts.map(({ method }) => method)).toEqual([methods?.[0]?.method]);
    }
  },
);
