import type { Element } from './element/element.ts';

const STARTS = ['sysinit', 'wait', 'once', 'respawn', 'ctrlaltdel', 'shutdown'] as const;

/**
 * /etc/inittab of busybox (its example is examples/inittab there) with the services of all elements, in the elements' order.
 * @returns undefined when there are none
 */
export function inittabFile(elements: readonly Element[]): string | undefined {
  const services = elements.flatMap((one) => Object.values(one.services ?? {}));
  if (services.length === 0) return undefined;
  const lines = STARTS.flatMap((start) =>
    services.filter((one) => one.start === start).map(({ run }) => `::${start}:${run}\n`),
  );
  return `# Lines without a terminal use /dev/console, the last console= of the kernel's command line.\n${lines.join('')}`;
}
