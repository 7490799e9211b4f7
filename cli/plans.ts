/** What a step would have done: what it answered to the argument `dry_run`. */
export type StepPlan = { step: string; plan: unknown };

type Method = { method: string; category: string; reason: string; minutes: number | null };
type DiskPlan = { left?: string; plan?: { methods: Method[]; refusal?: string } };
type Array_ = { device: string; name: string | null; members: string[]; fate: string; why: string };
type RaidPlan = {
  dry_run: true;
  minutes: number;
  /** Of create_configuration. */
  before?: string[];
  deletion?: RaidPlan;
  lines?: string[];
  arrays: (Partial<Array_> & { device: string; resync_minutes?: number })[];
  /** Of delete_configuration. */
  stray_members?: string[];
  wiped_disks?: string[];
};

const minutesText = (minutes: number | null): string =>
  minutes === null ? 'nobody knows how long' : minutes < 1 ? 'less than a minute' : `about ${minutes} min`;

function diskLines(path: string, { left, plan }: DiskPlan): string[] {
  if (left !== undefined) return [`${path}: left as it is: ${left}`];
  if (plan?.refusal !== undefined) return [`${path}: cannot be erased: ${plan.refusal}`];
  return (plan?.methods ?? []).map(
    ({ method, category, reason, minutes }, index) =>
      `${path}: ${index === 0 ? '' : 'else '}${method} (${category}), ${minutesText(minutes)}: ${reason}`,
  );
}

const FATES: Readonly<Record<string, string>> = {
  delete: 'is deleted',
  wipe: 'stays, and loses what is on it',
  keep: 'is kept',
};

function raidLines({ arrays, before, deletion, lines, stray_members, wiped_disks, minutes }: RaidPlan): string[] {
  const deleted = arrays.flatMap(({ device, name, members, fate, why }) =>
    fate === undefined
      ? []
      : [`${device} (${name ?? 'no name'}) on ${members?.join(' ')} ${FATES[fate]}${why ? `: ${why}` : ''}`],
  );
  const resyncs = arrays.flatMap(({ device, resync_minutes: resync = 0 }) =>
    resync > 0 ? [`${device}: first resync in the background, ${minutesText(resync)} at least`] : [],
  );
  return [
    ...(deletion ? raidLines(deletion) : []),
    ...(before ?? []).map((what) => `first: ${what}`),
    ...deleted,
    ...(stray_members ?? []).map(
      (member) => `${member} is a member of an array that is not there; it is none any more`,
    ),
    ...(wiped_disks ?? []).map((disk) => `the partition table of ${disk} goes`),
    ...(lines ?? []),
    ...resyncs,
    minutesText(minutes),
  ];
}

function linesOf(plan: unknown): string[] {
  if (typeof plan !== 'object' || plan === null) return ['nothing'];
  if ('dry_run' in plan) return raidLines(plan as RaidPlan);
  const disks = Object.entries(plan as Record<string, DiskPlan>);
  return disks.length === 0 ? ['nothing'] : disks.flatMap(([path, disk]) => diskLines(path, disk));
}

/** Plans for people: the step, and below it one line for each thing that it would do. */
export function plansText(plans: readonly StepPlan[]): string {
  return plans.map(({ step, plan }) => [step, ...linesOf(plan).map((line) => `  ${line}`), ''].join('\n')).join('');
}
