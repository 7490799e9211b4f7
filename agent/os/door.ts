import type { Filter } from '../../system/filter.ts';
import type { Follow } from '../../system/follow.ts';
import type { Run, RunBytes } from '../../system/run.ts';

/** How zeros are made; `agent/os/zeroing.ts` has the table. */
export type ZeroMethod = 'punch-hole' | 'discard' | 'zeroout' | 'write';

/** What a trial on the device found. */
export type ZeroAbility = {
  method: ZeroMethod;
  /** The device makes zeros without having them sent to it. */
  isOffloaded: boolean;
  /** What one call costs whatever its length, milliseconds, and how fast zeros are made after that; 0 is unknown. */
  startMs: number;
  bytesPerSecond: number;
  /** Bytes from the range's beginning that are zero now. */
  zeroedBytes: number;
};

/** A disk or partition, or in tests a regular file of the disk's size, opened for one purpose. Never grown, never truncated. */
export type BlockDevice = {
  readonly path: string;
  readonly sizeBytes: number;
  /** Logical sector, bytes: 512 or 4096. Positions and lengths of `zero` are multiples of it. */
  readonly sectorBytes: number;
  /** Fills the buffer from `position` (bytes). Throws at the device's end. */
  read: (buffer: Uint8Array, position: number) => Promise<void>;
  /** Writes all of the buffer at `position` (bytes). Refuses to go past the device's end. */
  write: (buffer: Uint8Array, position: number) => Promise<void>;
  /** As `read`, past the kernel's page cache where that works: what the disk has, not what was meant to get there. */
  readBack: (buffer: Uint8Array, position: number) => Promise<void>;
  /** Whether long writes and `readBack` go past the page cache at the moment. */
  isDirect?: () => boolean;
  /** Makes a range read back as zeros, whatever was there, by the device's own means where it has them. */
  zero: (position: number, lengthBytes: number) => Promise<void>;
  /**
   * Finds out by trial how this device makes zeros, and keeps to it. Destroys the range, which has to be a few MiB long; where
   * zeros cost no writing the range is zero afterwards.
   */
  tryZeroing: (position: number, lengthBytes: number) => Promise<ZeroAbility>;
  /** Everything written so far is on the medium when this returns. */
  flush: () => Promise<void>;
  close: () => Promise<void>;
};

/** A regular file that is read; it may change meanwhile. */
export type RegularFile = {
  /** Where it really is, all links followed. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Fills the buffer from `position` (bytes) on. Returns how many bytes there were; fewer than asked at the end. */
  read: (buffer: Uint8Array, position: number) => Promise<number>;
  /** A text that is another when somebody has written to the file. */
  version: () => Promise<string>;
  close: () => Promise<void>;
};

/** The text of files in /proc, /sys and /etc; anything missing or unreadable is undefined, an empty list or false. */
export type SystemFiles = {
  read: (path: string) => Promise<string | undefined>;
  readBytes: (path: string) => Promise<Uint8Array | undefined>;
  list: (path: string) => Promise<string[]>;
  /** Where a symbolic link leads in the end. */
  resolve: (path: string) => Promise<string | undefined>;
  exists: (path: string) => Promise<boolean>;
  /** Undefined where there is nothing; a symbolic link is what it leads to. */
  kind: (path: string) => Promise<'file' | 'block device' | 'other' | undefined>;
  isExecutable: (path: string) => Promise<boolean>;
  write: (path: string, content: string | Uint8Array, mode?: number) => Promise<void>;
  makeDirectory: (path: string, mode?: number) => Promise<void>;
  remove: (path: string) => Promise<void>;
};

export type NetworkAddress = {
  interface: string;
  address: string;
  family: 4 | 6;
  mac: string;
  internal: boolean;
  scopeId?: number;
};

export type Clock = {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Milliseconds that never jump. */
  monotonic: () => number;
  /** @throws the signal's reason when it aborts first */
  sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
};

/** One message by UDP, to one place or several. */
export type Datagram = {
  message: Uint8Array;
  /** @param from own IPv4 address to send from, which for a multicast address chooses the interface */
  to: readonly { host: string; port: number; from?: string }[];
  timeoutMs: number;
};

/**
 * Sends a message and listens for answers until one is taken.
 * @param accept undefined for what is no answer; anything else ends it
 * @returns undefined when the time is up
 * @throws when a host name has no address, or nothing could be sent at all
 */
export type Exchange = <T>(
  datagram: Datagram,
  accept: (bytes: Uint8Array) => T | undefined,
  signal?: AbortSignal,
) => Promise<T | undefined>;

/** Everything the agent may ask of the machine it runs on. The real one is `system.ts`; tests hand in recorded answers. */
export type AgentOs = {
  run: Run;
  /** For programs whose output is no text. */
  runBytes: RunBytes;
  /** As `run`, for a program that takes long or says much. */
  follow: Follow;
  /** Sends bytes through a program. */
  filter: Filter;
  files: SystemFiles;
  clock: Clock;
  addresses: () => NetworkAddress[];
  exchange: Exchange;
  hostname: () => string;
  totalMemoryBytes: () => number;
  /** @param mode 'write' takes the device exclusively (O_EXCL on a block device): a mounted disk is refused. */
  openDevice: (path: string, mode: 'read' | 'write') => Promise<BlockDevice>;
  /** @throws AgentError `ImageDownloadError` when it is not there or is no regular file */
  openFile: (path: string) => Promise<RegularFile>;
};
