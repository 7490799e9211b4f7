import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';

/** Reads settings of burn-in, which are keys of the node's driver_info (IPA `burnin.py`). */
export type Settings = {
  /** A whole number of at least 0, as number or text. */
  count: (key: string, otherwise: number) => number;
  /** What `pattern` allows: it becomes a word of a command line. */
  word: (key: string, otherwise: string, pattern: RegExp, needs: string) => string;
  flag: (key: string) => boolean;
  /** An absolute path that ends in no folder. */
  path: (key: string, otherwise: string) => string;
  raw: (key: string) => unknown;
};

function refuse(name: string, value: unknown, needs: string): AgentError {
  return new AgentError(
    'InvalidCommandParamsError',
    `cannot use driver_info ${name}=${JSON.stringify(value)}: ${needs} is needed`,
  );
}

export function burnInSettings(node: Node): Settings {
  const info = node.driver_info ?? {};
  const nameOf = (key: string) => `agent_burnin_${key}`;
  const read = (key: string): unknown => info[nameOf(key)] ?? undefined;
  const text = (key: string, otherwise: string, isRight: (value: string) => boolean, needs: string): string => {
    const value = read(key);
    if (value === undefined) return otherwise;
    if ((typeof value !== 'string' && typeof value !== 'number') || !isRight(String(value)))
      throw refuse(nameOf(key), value, needs);
    return String(value);
  };
  return {
    raw: read,
    count: (key, otherwise) =>
      Number(text(key, String(otherwise), (value) => /^\d{1,9}$/.test(value), 'a whole number of at least 0')),
    word: (key, otherwise, pattern, needs) => text(key, otherwise, (value) => pattern.test(value), needs),
    path: (key, otherwise) =>
      text(
        key,
        otherwise,
        (value) => /^\/(?:.*[^/])$/s.test(value) && !value.includes('/../'),
        'the absolute path of a file',
      ),
    flag: (key) => {
      const value = read(key);
      if (value === undefined || typeof value === 'boolean') return value === true;
      if (typeof value !== 'string' || !/^(?:true|false)$/i.test(value))
        throw refuse(nameOf(key), value, 'true or false');
      return value.toLowerCase() === 'true';
    },
  };
}
