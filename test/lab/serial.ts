import { open } from 'node:fs/promises';

/** What a serial console shows, as text: no escape sequences, no NULs, lines end with \n. */
export function plainConsole(text: string): string {
  return (
    text
      // oxlint-disable-next-line no-control-regex -- these are what a console sends
      .replaceAll(/\u001B\[[0-9;?=]*[A-Za-z]|\u001B[()][A-Z0-9]|\u001B[=>78c]|[\u0000\u0007]/g, '')
      .replaceAll('\r\n', '\n')
      .replaceAll('\r', '\n')
  );
}

export type SerialLog = {
  path: string;
  /** The last lines that are not empty. */
  tail: (count: number) => string[];
  /** Calls `onLine` for each complete line from now on. @returns a function that ends it */
  onLine: (listener: (line: string) => void) => () => void;
  close: () => Promise<void>;
};

const KEPT_LINES = 400;
const LONGEST_LINE = 4000;

/**
 * Follows a machine's serial log as it grows; the file itself keeps everything.
 * @param path need not exist yet
 * @param intervalMs how often it is looked at
 */
export function followSerial(path: string, intervalMs = 200): SerialLog {
  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  const decoder = new TextDecoder();
  let position = 0;
  let rest = '';
  let reading: Promise<void> | undefined;

  const take = (text: string) => {
    // A full-screen program that never sends a line end must not fill the memory.
    const parts = plainConsole(rest + text).split('\n');
    rest = (parts.pop() ?? '').slice(-LONGEST_LINE);
    for (const line of parts) {
      if (line.trim() === '') continue;
      lines.push(line.slice(-LONGEST_LINE).trimEnd());
      for (const listener of listeners) listener(line);
    }
    lines.splice(0, Math.max(0, lines.length - KEPT_LINES));
  };

  const read = async () => {
    const file = await open(path, 'r').catch(() => undefined);
    if (file === undefined) return;
    try {
      const buffer = new Uint8Array(64 * 1024);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
        if (bytesRead === 0) return;
        position += bytesRead;
        take(decoder.decode(buffer.subarray(0, bytesRead), { stream: true }));
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
    tail: (count) => [...lines, rest].filter((line) => line.trim() !== '').slice(-count),
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
