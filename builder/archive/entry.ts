/** Where a file's bytes are: in memory, or a stretch of a file in the cache. */
export type Content = { kind: 'bytes'; bytes: Uint8Array } | { kind: 'slice'; file: string; offset: number };

type Common = {
  /** Relative to the root, no leading or trailing slash, no `.` or `..`. */
  path: string;
  /** Permission bits with set-id and sticky, 0 to 0o7777. */
  mode: number;
  uid: number;
  gid: number;
};

/**
 * One thing in a root tree. Ownership and modes come from package indexes and elements, never from a folder on the machine
 * that builds, so the result does not depend on who builds it.
 */
export type Entry = Common &
  (
    | { type: 'file'; size: number; /** SHA-256, hex. */ digest: string; content: Content }
    | { type: 'hardlink'; /** Path of the entry whose bytes it shares. */ target: string }
    | { type: 'symlink'; target: string }
    | { type: 'directory' }
    | { type: 'character' | 'block'; major: number; minor: number }
    | { type: 'fifo' }
  );

export type FileEntry = Extract<Entry, { type: 'file' }>;
