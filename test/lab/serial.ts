import { open } from 'node:fs/promises';

import { consoleLines } from '../../machine/console.ts';

export type SerialLog = {
  path: string;
  /** The last lines that are not empty. */
  tail: (count: number) => string[];
  /** Calls `onLine` for each complete line from now on. @returns a function that ends it */
  onLine: (listener: (line: string) => void) => () => void;
  close: () => Promise<void>;
};

const KEPT_LINES = 400;

/**
 * Follows a machine's serial log as it grows; the file itself keeps everything.
 * @param path need not exist yet
 * @param intervalMs how often it is looked at
 */
export function followSerial(path: string, intervalMs = 200): SerialLog {
  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  let position = 0;
  let reading: Promise<void> | undefined;
  const cutter = consoleLines((line) => {
    lines.push(line);
    for (const listener of listeners) listener(line);
  });

  const read = async () => {
    const file = await open(path, 'r').catch(() => undefined);
    if (file === undefined) return;
    try {
      const buffer = new Uint8Array(64 * 1024);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
        if (bytesRead === 0) return;
        position += bytesRead;
        cutter.take(buffer.subarray(0, bytesRead));
        lines.splice(0, Math.max(0, lines.length - KEPT_LINES));
      }
    } finally {
      await file.close();
    }
  };
  const once = () => (reading ??= read().finally(() => (reading = undefined)));
  const timer = setInterval(() => void once(), intervalMs);
  timer.unref();
  return {
    path,
    tail: (count) => [...lines, cutter.rest()].filter((line) => line.trim() !== '').slice(-count),
    onLine: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {
      clearInterval(timer);
      await once();
    },
  };
}
