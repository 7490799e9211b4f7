import { defineCommand } from '../../cli/command.ts';
import { type OptionTable, usageFailure } from '../../cli/options.ts';
import { compareText, explainText } from '../explain-text.ts';
import { compare, explain, readExplained } from '../explain.ts';

const OPTIONS = {
  top: { type: 'integer', short: 'n', placeholder: 'N', help: 'lines of each table (default: 20)' },
  json: { type: 'boolean', help: 'one JSON object with all lines' },
} as const satisfies OptionTable;

export const explainCommand = defineCommand({
  summary: 'Says where the bytes of a finished build go, or what changed between two.',
  usage: 'NAME [LATER]',
  details: [
    'NAME is the path of results without their endings, or of a NAME.manifest.json. The',
    'tables account for every byte of kernel and initramfs. With a second name: the',
    'difference of the two builds.',
  ],
  options: OPTIONS,
  run: async ({ stdout }, values, [first, second, ...rest]) => {
    if (first === undefined || rest.length > 0)
      throw usageFailure('cannot explain: one or two builds have to be named', 'build-ramdisk explain ingot-x86_64');
    const top = values.top ?? 20;
    const before = await readExplained(first);
    if (second === undefined) {
      const { arch, release, usage } = before;
      const json = { arch, release, totalBytes: usage.total, ...explain(before) };
      stdout.write(values.json ? `${JSON.stringify(json, undefined, 2)}\n` : explainText(before, top));
      return 0;
    }
    const after = await readExplained(second);
    const json = { beforeBytes: before.usage.total, afterBytes: after.usage.total, ...compare(before, after) };
    stdout.write(values.json ? `${JSON.stringify(json, undefined, 2)}\n` : compareText(before, after, top));
    return 0;
  },
});
