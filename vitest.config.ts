import { defineConfig } from 'vitest/config';

import { SlowFirst } from './test/slow-first.ts';

/** Files with virtual machines that run at the same time, whichever project they are of: Vitest wants one number for both. */
const MACHINES = 2;

export default defineConfig({
  test: {
    restoreMocks: true,
    sequence: { sequencer: SlowFirst },
    projects: [
      {
        // About four minutes: no root, no virtual machine; processes and the network beyond loopback only where a test says so.
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/live/**', 'test/interop/*.test.ts', 'node_modules/**'],
          // Vitest leaves one processor free unless told, which is half of two.
          maxWorkers: '100%',
          // Against hanging only: on a busy machine everything takes a multiple of its time.
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        // Real builds and real virtual machines: two files at a time, because a machine that starts waits for a third of its time.
        test: {
          name: 'live',
          include: ['test/live/**/*.test.ts'],
          maxWorkers: MACHINES,
          sequence: { groupOrder: 1 },
          testTimeout: 1_800_000,
          hookTimeout: 1_800_000,
        },
      },
      {
        // A real Ironic drives a virtual machine.
        test: {
          name: 'interop',
          include: ['test/interop/*.test.ts'],
          maxWorkers: MACHINES,
          sequence: { groupOrder: 1 },
          testTimeout: 1_800_000,
        },
      },
    ],
  },
});
