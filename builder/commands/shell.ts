import { defineCommand } from '../../cli/command.ts';
import type { OptionTable } from '../../cli/options.ts';
import { shellInTree } from '../dib/inside.ts';
import { failedTree } from '../dib/workspace.ts';
import { defaultCacheRoot } from '../host/cache.ts';
import { openHost } from '../host/system.ts';

const OPTIONS = {
  cache: {
    type: 'string',
    placeholder: 'DIR',
    help: `folder for downloads and finished layers (default: ${defaultCacheRoot({ HOME: '~' })})`,
  },
} as const satisfies OptionTable;

export const shellCommand = defineCommand({
  summary: 'Opens a shell in the tree of a build whose hook failed.',
  usage: '[NAME [COMMAND ...]]',
  details: [
    'NAME is the one that the failed build said; the last one unless said. With a COMMAND,',
    'that runs instead of a shell. The variables are those of the hooks, which are in',
    '/tmp/in_target.d; what is changed is not used by any build.',
  ],
  options: OPTIONS,
  run: async ({ stdout, signal }, values, [name, ...command]) => {
    const host = await openHost({ cache: values.cache });
    const tree = await failedTree(host, name);
    const terminal = process.stdin.isTTY;
    return shellInTree(host, tree, command, { terminal, signal, onLine: (line) => stdout.write(`${line}\n`) });
  },
});
