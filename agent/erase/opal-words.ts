import type { OpalAbilities } from './abilities.ts';

/** What `sedutil-cli --query` (1.20) says of a disk; an Enterprise disk takes the revert as well. */
export function parseOpalQuery(output: string): OpalAbilities {
  const lines = output.split('\n').map((line) => line.trim());
  const words = lines.filter((line) => /^(?:OPAL|Enterprise|Locking function|Locked =)/i.test(line));
  return {
    isSupported: words.some((line) => /^(?:OPAL V?[12]\.0|Enterprise) function/i.test(line)),
    isLocked: words.some((line) => /^Locked = Y\b/.test(line)),
    words,
  };
}
