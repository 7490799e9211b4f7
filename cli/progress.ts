/**
 * Progress for people and for logs: in place on a terminal, at most one line a second elsewhere, one JSON object a line with `--json`.
 */
export type ProgressUpdate = {
  /** What is being done, in a few words: "fetch packages". */
  phase: string;
  done?: number;
  total?: number;
  /** 'bytes' is shown as MB and MB/s; anything else as it is. */
  unit?: 'bytes' | (string & {});
  message?: string;
};

export type Progress = {
  /** Says how far the work is. May be called as often as one likes. */
  update: (update: ProgressUpdate) => void;
  /** A line that stays, above the moving one. */
  log: (line: string) => void;
  /** Ends the moving line. */
  finish: () => void;
};

export type ProgressMode = 'terminal' | 'lines' | 'json' | 'silent';

type Output = { write: (text: string) => unknown; /** Width of a terminal; 80 unless it says. */ columns?: number };

export function formatBytes(bytes: number): string {
  return bytes < 1e6
    ? `${(bytes / 1e3).toFixed(1)} kB`
    : bytes < 1e9
      ? `${(bytes / 1e6).toFixed(1)} MB`
      : `${(bytes / 1e9).toFixed(2)} GB`;
}

export function formatSeconds(seconds: number): string {
  return seconds < 100 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** One update as a line: `fetch packages  34%  12.0 MB of 35.1 MB, 8.1 MB/s, 3.0 s left`. */
export function formatUpdate(update: ProgressUpdate, elapsedSeconds: number): string {
  const { phase, done, total, unit, message } = update;
  const show = (value: number) => (unit === 'bytes' ? formatBytes(value) : `${value}${unit ? ` ${unit}` : ''}`);
  const parts: string[] = [];
  if (done !== undefined && total)
    parts.push(`${Math.floor((100 * done) / total)}%`.padStart(4), `${show(done)} of ${show(total)}`);
  else if (done !== undefined) parts.push(show(done));
  if (done !== undefined && elapsedSeconds > 1) {
    const rate = done / elapsedSeconds;
    if (unit === 'bytes') parts.push(`${formatBytes(rate)}/s`);
    if (total && rate > 0 && done < total) parts.push(`${formatSeconds((total - done) / rate)} left`);
  }
  if (message) parts.push(message);
  return [phase, ...parts].join('  ');
}

/** The mode that fits an output: JSON when asked for, in place on a terminal, lines elsewhere. */
export function progressMode(options: { json?: boolean; quiet?: boolean; isTerminal: boolean }): ProgressMode {
  if (options.quiet) return 'silent';
  if (options.json) return 'json';
  return options.isTerminal ? 'terminal' : 'lines';
}

/**
 * @param output where it is written; standard error in all programs, so that standard output stays clean
 * @param now milliseconds; a parameter for tests
 */
export function createProgress(
  mode: ProgressMode,
  output: Output,
  now: () => number = () => performance.now(),
): Progress {
  const interval = mode === 'terminal' ? 100 : 1000;
  let phase = '';
  let phaseStart = 0;
  let lastWrite = Number.NEGATIVE_INFINITY;
  let pending: ProgressUpdate | undefined;
  const write = (update: ProgressUpdate) => {
    lastWrite = now();
    pending = undefined;
    const line = formatUpdate(update, (now() - phaseStart) / 1000);
    if (mode === 'json') output.write(`${JSON.stringify({ event: 'progress', ...update })}\n`);
    else if (mode === 'terminal') output.write(`\r\u001B[2K${line.slice(0, (output.columns ?? 80) - 1)}`);
    else output.write(`${line}\n`);
  };
  const clear = () => mode === 'terminal' && output.write('\r\u001B[2K');
  return {
    update: (update) => {
      if (mode === 'silent') return;
      const isNew = update.phase !== phase;
      if (isNew) {
        if (pending) write(pending); // the last word of the phase before
        if (mode === 'terminal' && phase !== '') output.write('\n');
        phase = update.phase;
        phaseStart = now();
      }
      if (isNew || now() - lastWrite >= interval) write(update);
      else pending = update;
    },
    log: (line) => {
      if (mode === 'silent') return;
      clear();
      output.write(mode === 'json' ? `${JSON.stringify({ event: 'log', message: line })}\n` : `${line}\n`);
    },
    finish: () => {
      if (pending) write(pending);
      if (mode === 'terminal' && phase !== '') output.write('\n');
      phase = '';
    },
  };
}
