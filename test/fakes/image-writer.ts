import { readFileSync } from 'node:fs';

import { openBlockDevice } from '../../agent/os/block-device.ts';
import { writeImage } from '../../agent/image/write.ts';
import { systemFilter } from '../../system/filter.ts';
import { memorySource } from './memory-source.ts';

/**
 * A process of its own that writes one image to one disk, for tests of its death and of limits of the operating system:
 * `image-writer DISK IMAGE SHA256`. Says "wiping" when it begins, then "written" or why not. Wiping is left to `writeImage`.
 */
const [disk = '', image = '', hex = ''] = process.argv.slice(2);
const device = await openBlockDevice(disk, 'write');
try {
  await writeImage({
    source: memorySource(readFileSync(image)),
    diskFormat: 'raw',
    checksum: { algorithm: 'sha256', hex },
    device,
    filter: systemFilter,
    wipe: async () => void process.stdout.write('wiping\n'),
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
