import { once } from 'node:events';

import { ARCHITECTURE_NAMES, findArchitecture } from '../../../arch/table.ts';
import { builderFailure } from '../../../builder/failures.ts';
import { openHost } from '../../../builder/host/system.ts';
import { type OptionTable, optionsHelp, parseOptions } from '../../../cli/options.ts';
import { type Program, runProgram } from '../../../cli/program.ts';
import { createProgress, progressMode } from '../../../cli/progress.ts';
import { makeRpmMirror } from './mirror.ts';
import { serveFolder } from './serve.ts';

const OPTIONS = {
  arch: { type: 'string', placeholder: 'NAME', help: `${ARCHITECTURE_NAMES.join(', ')}; loongarch64 unless said` },
  port: { type: 'integer', help: 'port of 127.0.0.1; a free one unless said' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
} as const satisfies OptionTable;

/** Makes the mirror and serves it until Ctrl-C, for trying out `build-ramdisk` on openEuler's form by hand. */
async function main({ argv, stdout, stderr, signal }: Program): Promise<number> {
  const { values } = parseOptions(OPTIONS, argv);
  if (values.help) {
    stdout.write(
      `A mirror of openEuler's form and Debian's content, on loopback until Ctrl-C.\n\n${optionsHelp(OPTIONS)}\n`,
    );
    return 0;
  }
  const arch = values.arch ?? 'loongarch64';
  const row = findArchitecture(arch);
  if (row === undefined) throw builderFailure('UNKNOWN_ARCH', arch);
  const progress = createProgress(progressMode({ isTerminal: stderr.isTTY }), stderr);
  const mirror = await makeRpmMirror({ host: await openHost(), row, progress, signal });
  progress.finish();
  const served = await serveFolder(mirror.folder, values.port ?? 0);
  stdout.write(`build-ramdisk --arch ${row.name} --release 22.03-LTS --mirror ${served.url}/ --key ${mirror.key}\n`);
  if (!signal.aborted) await once(signal, 'abort');
  await served.close();
  return 0;
}

await runProgram(main);
