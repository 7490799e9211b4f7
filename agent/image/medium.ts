import type { BlockDevice } from '../os/door.ts';

/** What the stages of writing ask of the disk, and of each other. */
export type Medium = Pick<BlockDevice, 'write' | 'zero' | 'flush' | 'readBack'>;
