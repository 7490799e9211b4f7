import type { Content } from './contenders.ts';

/** `slow` are loop devices that the kernel lets write at the rate of a disk. */
export type Medium = 'files' | 'loops' | 'slow';

export type Scenario = {
  medium: Medium;
  content: Content;
  /** One disk, or all of them. */
  disks: 'one' | 'all';
  /** In parallel, or one after the other. */
  together: boolean;
};

const zeros = (medium: Medium, together: boolean): Scenario => ({ medium, content: 'zeros', disks: 'all', together });

export const SCENARIOS: readonly Scenario[] = [
  { medium: 'files', content: 'zeros', disks: 'one', together: false },
  { medium: 'files', content: 'pattern', disks: 'one', together: false },
  ...(['files', 'loops', 'slow'] as const).flatMap((medium) => [zeros(medium, false), zeros(medium, true)]),
  { medium: 'loops', content: 'pattern', disks: 'all', together: true },
];
