import type { Clock } from '../os/door.ts';

const EVERY_MS = 1000;
/** Before that a guess of what is left is worth nothing. */
const LEAST_SHARE = 0.005;

type One = { share: number; what: string; started: number | undefined };

function left({ share, started }: One, now: number): string {
  if (started === undefined || share < LEAST_SHARE || share >= 1) return '';
  const seconds = ((now - started) / 1000) * ((1 - share) / share);
  return seconds < 90 ? `, ${Math.ceil(seconds)} s left` : `, ${Math.ceil(seconds / 60)} min left`;
}

/**
 * One line of several disks: `sda zeros 1/1 45%, 3 min left; nvme0n1 done`.
 * @param tell gets the mean share of all disks and the line, at most once a second
 */
export function createProgress(
  names: readonly string[],
  clock: Pick<Clock, 'monotonic'>,
  tell: (share: number, message: string) => void,
): { set: (name: string, share: number, what: string) => void } {
  const all = new Map<string, One>(names.map((name) => [name, { share: 0, what: 'waits', started: undefined }]));
  let told = Number.NEGATIVE_INFINITY;
  return {
    set: (name, share, what) => {
      const now = clock.monotonic();
      all.set(name, { share, what, started: all.get(name)?.started ?? now });
      if (now - told < EVERY_MS && share < 1) return;
      told = now;
      const parts = [...all].map(
        ([disk, one]) =>
          `${disk} ${one.what}${one.share > 0 && one.share < 1 ? ` ${Math.floor(one.share * 100)}%` : ''}${left(one, now)}`,
      );
      const mean = [...all.values()].reduce((sum, one) => sum + one.share, 0) / Math.max(1, all.size);
      tell(mean, parts.join('; '));
    },
  };
}
