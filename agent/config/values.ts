import { Type, type TSchema } from 'typebox';

/**
 * One row of the agent's configuration: where its value may come from, what it means, and what a good value looks like.
 * Names and defaults are ironic-python-agent's, so that Ironic's templates and existing files work unchanged.
 */
export type ParameterSpec = {
  /** As it stands on the kernel command line, or in `parameters.txt` of virtual media. */
  parameter?: string;
  /** As it stands in a file; dashes do as well as underscores. */
  option?: string;
  /** Section of a file; DEFAULT without it. */
  group?: string;
  /** What it was called in files before: `group/name`. */
  oldNames?: readonly string[];
  /** Field of the lookup's `config` that outranks every other source; `a.b` is field b of object a. */
  lookup?: string;
  /** The kernel's parameter outranks files, too. */
  parameterWins?: true;
  /** Never to be shown. */
  secret?: true;
  help: string;
  /** "a whole number of seconds": the end of the sentence "… is needed". */
  needs: string;
  /** Text to a value; undefined where the text cannot be one. */
  read: (text: string) => unknown;
  schema: TSchema;
  default: unknown;
};

const TRUE_WORDS = ['true', '1', 'on', 'yes', 't', 'y'];
const FALSE_WORDS = ['false', '0', 'off', 'no', 'f', 'n'];

/** The words that oslo.config takes for a boolean; undefined for any other. */
export function readBoolean(text: string): boolean | undefined {
  const word = text.trim().toLowerCase();
  if (TRUE_WORDS.includes(word)) return true;
  return FALSE_WORDS.includes(word) ? false : undefined;
}

function readNumber(text: string): number | undefined {
  return /^[-+]?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : undefined;
}

/** A comma list: blanks around items and empty items are dropped, order is kept. */
export function readList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

export const word = (text: string): string => text.trim();
export const lowerWord = (text: string): string => text.trim().toLowerCase();

/** Ironic's templates may leave a parameter empty (`ipa-global-request-id=`): that is as good as absent. */
export const optionalText = {
  read: word,
  schema: Type.Union([Type.String({ minLength: 1 }), Type.Undefined()]),
  default: undefined,
};
export const file = { ...optionalText, needs: 'the path of a file' };
/** Node's timers go wrong beyond 2^31 milliseconds; these are 23 days. */
export const MOST_SECONDS = 2_000_000;
export const seconds = {
  needs: `a number of seconds from 0 to ${MOST_SECONDS}`,
  read: readNumber,
  schema: Type.Number({ minimum: 0, maximum: MOST_SECONDS }),
};
/** For time-outs: with 0 nothing could ever be in time. */
export const someSeconds = {
  ...seconds,
  needs: `a number of seconds from 1 to ${MOST_SECONDS}`,
  schema: Type.Number({ minimum: 1, maximum: MOST_SECONDS }),
};
export const count = {
  needs: 'a whole number, 0 or more',
  read: readNumber,
  schema: Type.Integer({ minimum: 0, maximum: 1e6 }),
};
export const port = {
  needs: 'a port number from 1 to 65535',
  read: readNumber,
  schema: Type.Integer({ minimum: 1, maximum: 65_535 }),
  default: 9999,
};
export const flag = { needs: 'true or false', read: readBoolean, schema: Type.Boolean() };
export const list = { read: readList, schema: Type.Array(Type.String()) };
/** Also the word `mdns`, which asks the network for the URL. */
export const urls = {
  needs: 'a comma list of http:// or https:// URLs, or mdns,',
  read: (text: string) => {
    const items = readList(text).map((url) => url.replace(/\/+$/, ''));
    return items.every((url) => url === 'mdns' || URL.canParse(url)) ? items : undefined;
  },
  schema: Type.Array(Type.String({ pattern: '^(mdns|https?://[^/\\s]+.*)$' })),
  default: [],
};

/** A value as it would be written in a file. */
export function showValue(value: unknown): string {
  if (value === undefined) return '';
  // What a server sent may be anything, such as an object whose toString is no function.
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(',');
  return typeof value === 'string' ? value : JSON.stringify(value);
}
