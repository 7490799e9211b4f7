import { atLeastOne, defineBench } from '../report-command.ts';
import { reportText } from './report.ts';

const MEMORY_MIB = 2048;
const STEP_MIB = 32;

export const ramdiskCommand = defineBench({
  name: 'ramdisk',
  summary: "Ingot's ramdisk beside one with ironic-python-agent: time, bytes, memory.",
  details: [
    'Both start by the network in the same kind of virtual machine, in turn, driven by',
    "Ingot's conductor. The peer is Debian's package, made with mmdebstrap and kept in",
    'the cache (some six minutes once). All of it takes about an hour under emulation;',
    '--rounds 1 --no-deployments --no-searches about five minutes.',
  ],
  rounds: { usual: 5, of: 'starts of each' },
  keeps: 'logs',
  options: {
    deployments: { type: 'integer', help: 'deployments by each, for the memory after one; 2 unless said' },
    'no-deployments': { type: 'boolean', help: 'deploy nothing' },
    'no-searches': { type: 'boolean', help: 'do not look for the smallest memory' },
    memory: { type: 'integer', placeholder: 'MIB', help: `the machines' memory; ${MEMORY_MIB} unless said` },
    step: { type: 'integer', placeholder: 'MIB', help: `step of the search for the smallest; ${STEP_MIB} unless said` },
  },
  settings: (values) => {
    const { memory = MEMORY_MIB, step = STEP_MIB, deployments = 2 } = values;
    atLeastOne({ memory, step });
    return {
      deployments: values['no-deployments'] ? 0 : deployments,
      searches: !values['no-searches'],
      memoryMiB: memory,
      stepMiB: step,
    };
  },
  bench: async (basics, settings) => (await import('./bench.ts')).benchRamdisks({ ...basics, ...settings }),
  text: reportText,
});
