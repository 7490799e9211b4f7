import { loadavg } from 'node:os';

const LOAD_EVERY_MS = 5000;

/** Reads the load from time to time. @returns a function that ends it and gives the mean */
export function watchLoad(): () => number {
  const values: number[] = [];
  const note = () => values.push(loadavg()[0] ?? 0);
  const timer = setInterval(note, LOAD_EVERY_MS);
  return () => {
    clearInterval(timer);
    note();
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };
}
