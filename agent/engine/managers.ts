import type { Step } from '../api/command.ts';
import type { StepKind, StepManager, StepSpec } from './command-table.ts';

/** The steps of a kind as the conductor wants them, in the table's order. */
export function listSteps<Deps>(kind: StepKind, steps: readonly StepSpec<Deps>[]): Step[] {
  return steps.flatMap((spec) => {
    const priority = spec.priorities[kind];
    if (priority === undefined) return [];
    return [
      {
        step: spec.step,
        priority,
        interface: spec.interface,
        reboot_requested: spec.rebootRequested ?? false,
        abortable: spec.abortable ?? false,
        ...(spec.argsinfo && { argsinfo: spec.argsinfo }),
      },
    ];
  });
}

/** Version of each manager by its name, as Ironic remembers it with a step list. */
export function versionsOf(managers: readonly Pick<StepManager<never>, 'name' | 'version'>[]): Record<string, string> {
  return Object.fromEntries(managers.map(({ name, version }) => [name, version]));
}

export type Candidate<Deps> = { manager: StepManager<Deps>; spec: StepSpec<Deps>; priority: number };

/** What several offer under one name, best first: by support, then by priority, then by the alphabet (IPA `_step_sort_key`). */
function byRank<Deps>(a: Candidate<Deps>, b: Candidate<Deps>): number {
  const [nameA, nameB] = [a.manager.className, b.manager.className];
  return b.manager.support - a.manager.support || b.priority - a.priority || (nameA < nameB ? -1 : 1);
}

/** Everybody's steps of a kind, by name; each name's candidates are best first. */
export async function candidates<Deps>(
  kind: StepKind,
  managers: readonly StepManager<Deps>[],
  deps: Deps,
): Promise<Map<string, Candidate<Deps>[]>> {
  const all = new Map<string, Candidate<Deps>[]>();
  for (const manager of managers) {
    for (const spec of await manager.steps(deps)) {
      const priority = spec.priorities[kind];
      if (priority === undefined) continue;
      all.set(spec.step, [...(all.get(spec.step) ?? []), { manager, spec, priority }].toSorted(byRank));
    }
  }
  return all;
}

/** The step list by manager's class: of a name that several offer the best stays. Best managers first. */
export async function stepsByManager<Deps>(
  kind: StepKind,
  managers: readonly StepManager<Deps>[],
  deps: Deps,
): Promise<Record<string, Step[]>> {
  const winners = [...(await candidates(kind, managers, deps)).values()].flatMap((one) => one.slice(0, 1));
  const sorted = managers.toSorted((a, b) => b.support - a.support);
  return Object.fromEntries(
    sorted.flatMap((manager) => {
      const own = winners.filter((one) => one.manager === manager).map((one) => one.spec);
      return own.length === 0 ? [] : [[manager.className, listSteps(kind, own)]];
    }),
  );
}
