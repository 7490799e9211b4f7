import { expect, test } from 'vitest';

import { ARCHITECTURE_NAMES, findArchitecture } from '../../arch/table.ts';
import { basesFor } from '../../builder/bases.ts';
import { expandElements } from '../../builder/elements.ts';
import { makePlan } from '../../builder/plan.ts';

// What the default ramdisk asks for, on each base and architecture: a change of it is a change of what users get, and is looked at in
// the plan's own file. `npm run test:unit -- -u` is not enough of a reason.
const rows = ARCHITECTURE_NAMES.flatMap((name) => findArchitecture(name) ?? []);
const bases = ['debian', 'openeuler', 'centos'] as const;
const cases = rows.flatMap((row) =>
  bases.flatMap((distribution) => basesFor(row, distribution).slice(0, 1)).map((base) => ({ row, base })),
);

test.each(cases)('the plan for $row.name on $base.name is the one that is known', async ({ row, base }) => {
  const plan = makePlan(await expandElements(['agent']), row, base.family, base.rpm?.fromDebian);
  const { elements, packages, firmware, modules, ...rest } = plan;
  const known = {
    elements: elements.map((one) => one.name),
    packages: packages.map(({ name, element, only }) => [element, name, ...(only ?? [])].join(' ')),
    firmware: firmware.map((one) => one.name),
    modules: modules.map(({ group, name }) => `${group}: ${name}`),
    ...rest,
  };
  const file = `../fixtures/plans/${row.name}-${base.name}.json`;
  await expect(`${JSON.stringify(known, null, 2)}\n`).toMatchFileSnapshot(file);
});
