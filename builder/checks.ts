import type { Entry } from './archive/entry.ts';
import type { Element } from './element/element.ts';
import { builderFailure } from './failures.ts';
import { anyMatcher } from './tree/glob.ts';
import type { Tree } from './tree/tree.ts';

type Check = NonNullable<Element['checks']>[number];

const bytesOf = (entries: readonly Entry[]) =>
  entries.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0);
const octal = (mode: number) => `0${mode.toString(8)}`;

/** What is not as it should be; undefined when all is well. */
function problem({ path, mode, maxBytes, absent }: Check, found: readonly Entry[]): string | undefined {
  if (absent) return found.length === 0 ? undefined : `/${found[0]?.path} is there`;
  if (found.length === 0) return `there is no /${path}`;
  const other = found.find((entry) => mode !== undefined && entry.mode !== mode);
  if (other !== undefined) return `/${other.path} has mode ${octal(other.mode)}, not ${octal(mode ?? 0)}`;
  const bytes = bytesOf(found);
  return maxBytes !== undefined && bytes > maxBytes ? `/${path} has ${bytes} bytes, more than ${maxBytes}` : undefined;
}

/**
 * Checks the finished tree against what its elements say must be true.
 * @throws Failure `CHECK_FAILED` that names the elements and their reasons
 */
export function checkElements(elements: readonly Element[], tree: Tree): void {
  const entries = [...tree.values()].map((one) => one.entry);
  const problems = elements.flatMap((element) =>
    (element.checks ?? []).flatMap((check) => {
      const matches = anyMatcher([check.path]);
      const found = problem(
        check,
        entries.filter((entry) => matches(entry.path)),
      );
      return found === undefined ? [] : [`${element.name}: ${found}: ${check.reason}`];
    }),
  );
  if (problems.length > 0) throw builderFailure('CHECK_FAILED', problems.join('\n'));
}
