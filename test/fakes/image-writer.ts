import { readFileSync } from 'node:fs';

import { wipeMetadata } from '../../agent/disk/erase-metadata.ts';
import { openBlockDevice } from '../../agent/os/block-device.ts';
import { writeImage } from '../../agent/image/write.ts';
import { systemFilter } from '../../system/filter.ts';
import { type Run, systemRun } from '../../system/run.ts';
import { memorySource } from './memory-source.ts';

/**
 * A process of its own that writes one image to one disk, for tests of its death and of limits of the operating system:
 * `image-writer DISK IMAGE SHA256`. Says "wiping" when it begins, then "written" or why not. It wipes as the agent does; the program that
 * it starts for that dies with it, as everything does when a machine dies.
 */
const mortalRun: Run = (file, args, options) => systemRun('setpriv', ['--pdeathsig', 'KILL', file, ...args], options);
const [disk = '', image = '', hex = ''] = process.argv.slice(2);
// As write-image does: a limit of file sizes is an error, not the end.
process.on('SIGXFSZ', () => undefined);
const device = await openBlockDevice(disk, 'write');
try {
  await writeImage({
    source: memorySource(readFileSync(image)),
    diskFormat: 'raw',
    checksum: { algorithm: 'sha256', hex },
    device,
    filter: systemFilter,
    wipe: async () => {
      process.stdout.write('wiping\n');
      await wipeMetadata({ run: mortalRun }, device);
    },
    progress: () => undefined,
    signal: new AbortController().signal,
  });
  process.stdout.write('written\n');
} catch (error) {
  process.stdout.write(`${String(error)}\n`);
  process.exitCode = 1;
} finally {
  await device.close();
}
