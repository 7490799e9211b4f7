import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { openHost } from '../../builder/host/system.ts';
import { defineCommand } from '../../cli/command.ts';
import { nearest } from '../../cli/nearest.ts';
import { sizeBytes, usageFailure } from '../../cli/options.ts';
import { createProgress, progressMode } from '../../cli/progress.ts';
import { writeAtomically } from '../../system/files.ts';
import { benchImageWrite } from './bench.ts';
import { OWN, PEERS } from './contenders.ts';
import { IMAGE_NAMES } from './images.ts';
import { reportText } from './report.ts';

const ROUNDS = 5;
const SIZE = '2GiB';
const LEAST_BYTES = 64 * 2 ** 20;
const NAMES = [...IMAGE_NAMES, ...[OWN, ...PEERS].map(({ name }) => name)];

export const imageWriteCommand = defineCommand({
  summary: 'Writing images: Ingot beside IPA’s way, curl|tee|dd, bmaptool and qemu-img.',
  usage: '[options]',
  details: [
    'From a web server on this machine onto a file that stands for a disk: raw, qcow2',
    '(sparse, compressed) and raw.zst of the same disk, in turn, with the stages that',
    'nobody can be faster than. The images are made once and kept in DIR/images.',
    'Fifteen minutes on a machine with nothing else to do; --rounds 1 three.',
  ],
  options: {
    rounds: { type: 'integer', help: `runs of each; ${ROUNDS} unless said` },
    size: { type: 'string', placeholder: 'SIZE', help: `of the disk; ${SIZE} unless said` },
    only: { type: 'string', placeholder: 'NAME', multiple: true, help: `this image or writer: ${NAMES.join(', ')}` },
    out: {
      type: 'string',
      placeholder: 'DIR',
      help: 'folder for report.json and images; out/bench/image-write unless said',
    },
    mirror: {
      type: 'string',
      placeholder: 'URL',
      multiple: true,
      help: "Debian mirror; the host's own sources unless said",
    },
    json: { type: 'boolean', help: 'print the report as JSON, progress as one object a line' },
  },
  run: async ({ stdout, stderr, signal }, values, positionals) => {
    if (positionals.length > 0) throw usageFailure(`cannot run the bench: it takes no ${positionals.join(' ')}`);
    const { rounds = ROUNDS, size = SIZE, only, mirror } = values;
    if (rounds < 1) throw usageFailure(`cannot use --rounds ${rounds}: it is at least 1`);
    const wrong = only.find((name) => !NAMES.includes(name));
    if (wrong !== undefined)
      throw usageFailure(
        `cannot use --only ${wrong}: there is no such image or writer`,
        nearest(wrong, NAMES) ?? NAMES.join(', '),
      );
    const bytes = Math.floor(sizeBytes('size', size) / 2 ** 20) * 2 ** 20;
    if (bytes < LEAST_BYTES) throw usageFailure(`cannot use --size ${size}: it is at least 64MiB`);
    const folder = resolve(values.out ?? 'out/bench/image-write');
    const path = join(folder, 'report.json');
    await mkdir(folder, { recursive: true });
    // A report of an earlier run must not pass for one of this run.
    await rm(path, { force: true });
    const progress = createProgress(progressMode({ json: values.json, isTerminal: stderr.isTTY }), stderr);
    const host = await openHost();
    const report = await benchImageWrite({ host, rounds, sizeBytes: bytes, only, folder, mirror, progress, signal });
    const text = `${JSON.stringify(report, undefined, 2)}\n`;
    await writeAtomically(path, (temporary) => writeFile(temporary, text));
    stdout.write(values.json ? text : `${reportText(report)}\nThe same as JSON: ${path}\n`);
    return 0;
  },
});
