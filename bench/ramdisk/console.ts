import { followSerial } from '../../test/lab/serial.ts';

/** A line of the serial console with the host's time at which it came, milliseconds of `performance.now()`. */
export type HeardLine = { at: number; text: string };

/** How often the console's file is looked at; no time is truer than this. */
const LOOK_MS = 25;

export type Listener = {
  lines: () => readonly HeardLine[];
  onLine: (listener: (line: HeardLine) => void) => () => void;
  forget: () => void;
  close: () => Promise<void>;
};

/** @param path the machine's serial log, which grows over all its starts */
export function listenTo(path: string): Listener {
  const serial = followSerial(path, LOOK_MS);
  const list: HeardLine[] = [];
  const listeners = new Set<(line: HeardLine) => void>();
  serial.onLine((text) => {
    const line = { at: performance.now(), text };
    list.push(line);
    for (const listener of listeners) listener(line);
  });
  return {
    lines: () => list,
    onLine: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    forget: () => void list.splice(0),
    close: () => serial.close(),
  };
}
