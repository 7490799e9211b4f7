import { nearest } from '../../cli/nearest.ts';
import { usageFailure } from '../../cli/options.ts';
import { defineBench, wholeMebibytes } from '../report-command.ts';
import { OWN, PEERS } from './contenders.ts';
import { IMAGE_NAMES } from './images.ts';
import { reportText } from './report.ts';

const SIZE = '2GiB';
const LEAST_MIB = 64;
const NAMES = [...IMAGE_NAMES, ...[OWN, ...PEERS].map(({ name }) => name)];

export const imageWriteCommand = defineBench({
  name: 'image-write',
  summary: 'Writing images: Ingot beside IPA’s way, curl|tee|dd, bmaptool and qemu-img.',
  details: [
    'From a web server on this machine onto a file that stands for a disk: raw, qcow2',
    '(sparse, compressed) and raw.zst of the same disk, in turn, with the stages that',
    'nobody can be faster than. The images are made once and kept in DIR/images.',
    'Fifteen minutes on a machine with nothing else to do; --rounds 1 three.',
  ],
  rounds: { usual: 5, of: 'runs of each' },
  keeps: 'images',
  options: {
    size: { type: 'string', placeholder: 'SIZE', help: `of the disk; ${SIZE} unless said` },
    only: { type: 'string', placeholder: 'NAME', multiple: true, help: `this image or writer: ${NAMES.join(', ')}` },
  },
  settings: ({ size = SIZE, only }) => {
    const wrong = only.find((name) => !NAMES.includes(name));
    if (wrong !== undefined)
      throw usageFailure(
        `cannot use --only ${wrong}: there is no such image or writer`,
        nearest(wrong, NAMES) ?? NAMES.join(', '),
      );
    return { sizeBytes: wholeMebibytes(size, LEAST_MIB), only };
  },
  bench: async (basics, settings) => (await import('./bench.ts')).benchImageWrite({ ...basics, ...settings }),
  text: reportText,
});
