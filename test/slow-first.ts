import { relative } from 'node:path';

import { BaseSequencer, type TestSpecification } from 'vitest/node';

import { SLOW_FILES } from './slow-files.ts';

const seconds = ({ moduleId }: TestSpecification): number => SLOW_FILES[relative('.', moduleId)] ?? 0;

/** Vitest's own order knows how long files took in the last run only on a machine that has had one. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- Vitest's, not an array's
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => seconds(b) - seconds(a));
  }
}
