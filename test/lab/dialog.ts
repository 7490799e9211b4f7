import { createConnection, type Socket } from 'node:net';

import { plainConsole } from '../../machine/console.ts';
import { labFailure } from './failures.ts';

/** A person at a serial console. */
export type Dialog = {
  /** Types a line and presses Enter. */
  send: (line: string) => void;
  /**
   * Reads on until something has been shown, wherever it stands among what else the console says.
   * @throws Failure `CONSOLE_SILENT` with the last lines
   */
  expect: (pattern: RegExp, timeoutSeconds: number) => Promise<RegExpExecArray>;
  /**
   * Types a line until its answer comes, again every few seconds: a shell that is just starting throws away what was typed.
   * @throws as `expect`
   */
  ask: (line: string, pattern: RegExp, timeoutSeconds: number) => Promise<RegExpExecArray>;
  close: () => void;
};

const KEPT_CHARACTERS = 100_000;
const SHOWN_LINES = 12;
const RETYPE_SECONDS = 5;

function connect(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path, () => resolve(socket));
    socket.once('error', reject);
  });
}

/** @param path the Unix socket of a machine's console; only one can be at it at a time */
export async function openDialog(path: string): Promise<Dialog> {
  const socket = await connect(path);
  const decoder = new TextDecoder();
  let shown = '';
  let onMore: (() => void) | undefined;
  socket.on('data', (piece) => {
    shown = plainConsole(shown + decoder.decode(piece, { stream: true })).slice(-KEPT_CHARACTERS);
    onMore?.();
  });
  // A machine that goes off takes its console with it; whoever waits for a word then waits in vain.
  socket.on('error', () => undefined);
  const lastLines = () => shown.trimEnd().split('\n').slice(-SHOWN_LINES).join('\n');
  const send: Dialog['send'] = (line) => void socket.write(`${line}\r`);
  const expect: Dialog['expect'] = (pattern, timeoutSeconds) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(shown);
        if (found === null) return;
        clearTimeout(timer);
        onMore = undefined;
        shown = shown.slice(found.index + found[0].length);
        resolve(found);
      };
      const timer = setTimeout(() => {
        onMore = undefined;
        reject(labFailure('CONSOLE_SILENT', `${pattern} within ${timeoutSeconds} s; it says:\n${lastLines()}`));
      }, timeoutSeconds * 1000);
      onMore = look;
      look();
    });
  const ask: Dialog['ask'] = async (line, pattern, timeoutSeconds) => {
    send(line);
    const timer = setInterval(() => send(line), RETYPE_SECONDS * 1000);
    try {
      return await expect(pattern, timeoutSeconds);
    } finally {
      clearInterval(timer);
    }
  };
  return { send, expect, ask, close: () => void socket.end() };
}
