import { expect, test } from 'vitest';

import { describeMemory } from '../../agent/memory.ts';
import { memoryFiles } from '../fakes/agent-os.ts';

// As Linux 6.12 writes it.
const STATUS = 'Name:\tMainThread\nVmPeak:\t 1095420 kB\nVmHWM:\t   93072 kB\nVmRSS:\t   81236 kB\nThreads:\t7\n';

test('the kernel tells how much memory the agent has now, and had at most', async () => {
  const files = memoryFiles({ '/proc/self/status': STATUS });
  expect(await describeMemory(files)).toBe('resident memory 83.2 MB, at most 95.3 MB');
});

test('where it does not tell, nothing is made up', async () => {
  expect(await describeMemory(memoryFiles())).toBeUndefined();
  expect(await describeMemory(memoryFiles({ '/proc/self/status': 'VmRSS:\t 10 kB\n' }))).toBeUndefined();
});
