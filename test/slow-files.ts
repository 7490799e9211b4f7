/**
 * Test files that take long, with the seconds that they took on two processors. The order is what counts: a long file that starts
 * last keeps one processor waiting for the other.
 */
export const SLOW_FILES: Readonly<Record<string, number>> = {
  'test/live/architectures.test.ts': 400,
  'test/live/raid.test.ts': 350,
  'test/live/deployment.test.ts': 280,
  'test/interop/ironic.test.ts': 240,
  'test/live/bad-input.test.ts': 190,
  'test/live/dib.test.ts': 190,
  'test/live/partition-image.test.ts': 160,
  'test/live/openeuler.test.ts': 145,
  'test/live/reproducible.test.ts': 140,
  'test/live/erase.test.ts': 110,
  'test/live/media.test.ts': 100,
  'test/live/disk-full.test.ts': 60,
  'test/live/network.test.ts': 50,
  'test/live/interrupt.test.ts': 45,
  'test/agent/wire/death.test.ts': 40,
  'test/conductor/cli/ingot.test.ts': 31,
  'test/agent/image/death.test.ts': 21,
  'test/bench/image-write.test.ts': 20,
  'test/agent/disk/config-drive.test.ts': 18,
  'test/agent/commands/partition-image.test.ts': 17,
  'test/agent/write-image/command.test.ts': 16,
  'test/agent/image/qcow2.test.ts': 15,
  'test/agent/image/packed.test.ts': 13,
  'test/builder/build.test.ts': 11,
};
