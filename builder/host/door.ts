import type { Run, Start } from '../../system/run.ts';
import type { Cache } from './cache.ts';

/** One file to download. */
export type Download = {
  /** http, https or file. */
  url: string;
  sha256: string;
  sizeBytes: number;
};

/**
 * Fetches one file.
 * @returns the bytes' pieces, in order
 */
export type FetchBytes = (url: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;

/** Everything the builder may ask of the machine it runs on. The real one is `system.ts`. */
export type BuilderHost = {
  run: Run;
  start: Start;
  fetchBytes: FetchBytes;
  cache: Cache;
  /** As `--offline`: nothing may ask the network; package lists are used as they are. */
  offline: boolean;
};
