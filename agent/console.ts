import type { CommandProgress } from './api/command.ts';
import { formatBytes } from '../cli/progress.ts';
import { redact } from '../system/redact.ts';

/** What somebody at the rack needs to know; an empty text is not shown. */
export type ConsoleStatus = {
  /** Host name and version of the agent. */
  name: string;
  address: string;
  node: string;
  /** What the agent is doing or waiting for. */
  state: string;
  command: string;
  error: string;
};

export type AgentConsole = {
  /** One event. Secrets in it are masked. */
  log: (message: string) => void;
  /** As `log`, when ipa-debug is set. */
  debug: (message: string) => void;
  /** Changes the status; a change of anything but the command is shown as a block of its own. */
  status: (change: Partial<ConsoleStatus>) => void;
  /** Shows the status again: a screen forgets. */
  repeat: () => void;
  /** At most one line a second, and the first of each phase. */
  progress: (command: string, progress: CommandProgress) => void;
  /** Never to be shown from now on. */
  addSecret: (secret: string | undefined) => void;
  recent: () => readonly string[];
};

const KEPT_LINES = 2000;
const LONGEST_LINE = 4000;
const PROGRESS_EVERY_MS = 1000;

/** `writing  34%  1.20 GB of 3.50 GB, 98.0 MB/s  cluster 12`. */
export function describeProgress({ phase, done, total, unit, rate, message }: CommandProgress): string {
  const show = (value: number): string => (unit === 'bytes' ? formatBytes(value) : `${value}${unit ? ` ${unit}` : ''}`);
  const parts = [phase];
  if (done !== undefined && total)
    parts.push(`${Math.floor((100 * done) / total)}%`, `${show(done)} of ${show(total)}`);
  else if (done !== undefined) parts.push(show(done));
  if (rate !== undefined) parts.push(`${show(rate)}/s`);
  if (message) parts.push(message);
  return parts.join('  ');
}

/** Control characters of what a server or a disk said must not steer the terminal. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g, '?').slice(0, LONGEST_LINE);
}

/**
 * The agent's log and status on the machine's own console, and its memory of both.
 * @param write one piece of text
 * @param monotonic milliseconds since the machine's start
 */
export function createConsole(options: {
  write: (text: string) => void;
  monotonic: () => number;
  debug: boolean;
}): AgentConsole {
  const recent: string[] = [];
  const secrets = new Set<string>();
  let status: ConsoleStatus = { name: '', address: '', node: '', state: '', command: '', error: '' };
  let lastProgress = { at: Number.NEGATIVE_INFINITY, phase: '' };

  const mask = (text: string): string =>
    redact([...secrets].reduce((kept, secret) => kept.replaceAll(secret, '***'), text));
  const emit = (text: string): void => {
    const line = printable(mask(text));
    recent.push(`[${(options.monotonic() / 1000).toFixed(1).padStart(8)}] ${line}`);
    if (recent.length > KEPT_LINES) recent.splice(0, recent.length - KEPT_LINES);
    options.write(`${recent.at(-1)}\n`);
  };
  const repeat = (): void => {
    const rows = Object.entries(status).filter(([, value]) => value !== '');
    const lines = rows.map(
      ([key, value]) => `  ${key.padEnd(8)} ${printable(mask(value)).replaceAll('\n', '\n           ')}`,
    );
    options.write(`\n---- ingot-agent ${'-'.repeat(60)}\n${lines.join('\n')}\n${'-'.repeat(77)}\n\n`);
  };
  return {
    log: emit,
    debug: (message) => options.debug && emit(message),
    status: (change) => {
      const before = status;
      status = { ...status, ...change };
      const changed = (Object.keys(status) as (keyof ConsoleStatus)[]).filter((key) => before[key] !== status[key]);
      if (changed.some((key) => key !== 'command')) repeat();
    },
    repeat,
    progress: (command, progress) => {
      const now = options.monotonic();
      const text = describeProgress(progress);
      status = { ...status, command: `${command}: ${text}` };
      if (progress.phase === lastProgress.phase && now - lastProgress.at < PROGRESS_EVERY_MS) return;
      lastProgress = { at: now, phase: progress.phase };
      emit(`${command}: ${text}`);
    },
    addSecret: (secret) => secret && secrets.add(secret),
    recent: () => recent,
  };
}
