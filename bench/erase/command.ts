import { usageFailure } from '../../cli/options.ts';
import { atLeastOne, defineBench, wholeMebibytes } from '../report-command.ts';
import { reportText } from './report.ts';

const DISKS = 8;
const SIZE = '256MiB';
const LEAST_MIB = 8;
const RATE = 200;

export const eraseCommand = defineBench({
  name: 'erase',
  summary: 'Overwriting disks: Ingot beside dd, shred and nwipe; in parallel, and one by one.',
  details: [
    'Onto files that stand for disks, and onto loop devices made of these files (by',
    'root; nwipe takes nothing else), as fast as they are and as slow as disks. No',
    'other device is ever written to: whoever writes to loop devices finds no others',
    'in its /dev. Ten minutes; --rounds 1 four.',
  ],
  rounds: { usual: 3, of: 'runs of each' },
  keeps: 'the disks while it runs',
  options: {
    disks: { type: 'integer', help: `how many; ${DISKS} unless said` },
    size: { type: 'string', placeholder: 'SIZE', help: `of each disk; ${SIZE} unless said` },
    rate: { type: 'integer', placeholder: 'MB', help: `what a slow disk takes a second; ${RATE} unless said` },
  },
  settings: ({ disks = DISKS, size = SIZE, rate = RATE }) => {
    atLeastOne({ disks, rate });
    if (disks > 64) throw usageFailure(`cannot use --disks ${disks}: it is at most 64`);
    return { disks, diskBytes: wholeMebibytes(size, LEAST_MIB), bytesPerSecond: rate * 1e6 };
  },
  bench: async (basics, settings) => (await import('./bench.ts')).benchErase({ ...basics, ...settings }),
  text: reportText,
});
