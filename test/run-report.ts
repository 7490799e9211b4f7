/**
 * What a run of vitest left in its JSON report: how many tests passed, and the failed ones by name.
 *
 * The default reporter prints a failure where it happens, which may be thousands of lines above the end of a run that
 * has several parts. `npm test` says all of them once more above its last line.
 */
type Assertion = { fullName: string; status: string; failureMessages?: string[] | null };
type File = { name: string; status: string; message?: string; assertionResults: Assertion[] };
export type Report = {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  testResults: File[];
};

/** The first line of each message is enough to know the fault again; a diff of two objects is not. */
const LONGEST = 300;

const firstLine = (text: string | undefined): string => text?.trim().split('\n')[0]?.slice(0, LONGEST) ?? '';

/**
 * The failures of a report, a line each: `FILE > TEST: first line of why`. A file that fails outside of its tests (a hook,
 * an import) is one failure, whatever of its tests was then skipped.
 *
 * @param report what vitest's reporter `json` wrote
 * @param root the project's folder, which is left out of the files' names
 */
export function failuresOf(report: Report, root: string): string[] {
  return report.testResults.flatMap((file) => {
    const name = file.name.replace(`${root}/`, '');
    const failed = file.assertionResults
      .filter(({ status }) => status === 'failed')
      .map((test) => `${name} > ${test.fullName}: ${firstLine(test.failureMessages?.[0])}`);
    return failed.length === 0 && file.status === 'failed' ? [`${name}: ${firstLine(file.message)}`] : failed;
  });
}
