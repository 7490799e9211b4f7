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

const LONGEST_LINE = 4000;

export type ConsoleLines = {
  /** Takes what has come, wherever the stream was cut. */
  take: (bytes: Uint8Array) => void;
  /** The line that has not ended yet, such as a prompt. */
  rest: () => string;
};

/**
 * Cuts what a serial console sends into lines of plain text.
 * @param onLine gets each complete line that is not empty
 */
export function consoleLines(onLine: (line: string) => void): ConsoleLines {
  const decoder = new TextDecoder();
  let rest = '';
  return {
    take: (bytes) => {
      // A full-screen program that never sends a line end must not fill the memory.
      const parts = plainConsole(rest + decoder.decode(bytes, { stream: true })).split('\n');
      rest = (parts.pop() ?? '').slice(-LONGEST_LINE);
      for (const line of parts) if (line.trim() !== '') onLine(line.slice(-LONGEST_LINE).trimEnd());
    },
    rest: () => rest,
  };
}
