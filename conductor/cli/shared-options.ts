import type { OptionTable } from '../../cli/options.ts';

/** Options of every command that talks to a conductor. */
export const API_OPTIONS = {
  api: {
    type: 'string',
    placeholder: 'URL',
    help: 'the conductor; else the variable INGOT_API, else http://127.0.0.1:6385',
  },
  json: { type: 'boolean', help: 'print JSON, progress as one object a line' },
} as const satisfies OptionTable;

/** Options of every command that waits for a node. */
export const WAIT_OPTIONS = {
  'no-wait': { type: 'boolean', help: 'return at once; the conductor goes on' },
  timeout: {
    type: 'integer',
    placeholder: 'SECONDS',
    help: 'wait at most so long (exit code 4); the conductor goes on',
  },
} as const satisfies OptionTable;
