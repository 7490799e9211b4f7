import { defineCommand } from '../../cli/command.ts';
import { createProgress, formatBytes, progressMode } from '../../cli/progress.ts';
import { openContext } from '../open.ts';
import { openHost } from '../host/system.ts';
import { type PlannedStep, plannedSteps } from '../steps.ts';
import { BUILD_OPTIONS, buildRequests } from './options.ts';

/** How many lines of a step are shown without --verbose. */
const SHOWN = 8;

function stepLines({ step, what, cached }: PlannedStep, index: number, verbose: boolean): string[] {
  const rest = verbose ? 0 : Math.max(0, what.length - SHOWN);
  const shown = what.slice(0, what.length - rest);
  return [
    `${String(index + 1).padStart(2)} ${step}${cached === undefined ? '' : ` (in the cache: ${cached})`}`,
    ...shown.map((line) => `     ${line}`),
    ...(rest > 0 ? [`     ${rest} more (--verbose lists them)`] : []),
  ];
}

export const planCommand = defineCommand({
  summary: 'Says what a build would do, in its order, and what of it is cached.',
  usage: '[options] [DISTRIBUTION] [ELEMENT ...]',
  details: ['Takes the options of a build. Fetches no package and writes no result.'],
  options: BUILD_OPTIONS,
  run: async (program, values, positionals) => {
    const { stdout, stderr, signal } = program;
    const progress = createProgress(progressMode({ json: values.json, isTerminal: stderr.isTTY }), stderr);
    try {
      for (const request of buildRequests(values, positionals)) {
        const host = await openHost({ cache: values.cache, offline: values.offline });
        const context = await openContext({ ...request, host, progress, signal });
        const { steps, downloadBytes } = await plannedSteps(context);
        progress.finish();
        const head = { arch: context.row.name, release: context.release.name, output: request.output };
        if (values.json) stdout.write(`${JSON.stringify({ event: 'plan', ...head, downloadBytes, steps })}\n`);
        else
          stdout.write(
            [
              `${head.arch}, ${head.release}: ${formatBytes(downloadBytes)} to download`,
              ...steps.flatMap((step, index) => stepLines(step, index, values.verbose)),
              '',
            ].join('\n'),
          );
      }
    } finally {
      progress.finish();
    }
    return 0;
  },
});
