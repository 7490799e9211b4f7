import { AgentError } from '../api/errors.ts';
import type { DiskRecord } from './disk-model.ts';

/**
 * Root device hints: which disk is meant, as Ironic's users write it (agent-protocol G.4; oslo.utils `specs_matcher`).
 *
 * Text is compared without regard to case and outer blanks. Operators: `s== s!= s>= s> s<= s< <in> <all-in> <or>`, for numbers
 * `= == != >= > <= < <or> <in> <range-in>`. Without an operator text and numbers must be equal. `=` of a number means "at least".
 * A number's operator before a text hint compares the disk's text as a number; a text's operator before a size is that of the number.
 */
export type Hints = Record<string, unknown>;

/** A hint, ready to be tried; `values` are what the disk has (none: the disk does not say). */
type Test = { matches: (values: readonly string[]) => boolean };

const GIB = 1024 ** 3;

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', `cannot use the root device hints: ${why}`);
}

const normal = (text: string): string => text.trim().toLowerCase();

/**
 * Texts are put in order as ironic-python-agent has them in its hands: percent-encoded, so that a colon (`%3A`) is before a digit.
 * Python's `quote` leaves letters, digits and `_.-~/` as they are.
 */
const encoded = (text: string): string =>
  [...Buffer.from(text)]
    .map((byte) => String.fromCharCode(byte))
    .map((letter) =>
      /[\w.~/-]/.test(letter) ? letter : `%${letter.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');

type Compare = (order: number) => boolean;
const COMPARISONS: Readonly<Record<string, Compare>> = {
  '=': (order) => order >= 0,
  '==': (order) => order === 0,
  '!=': (order) => order !== 0,
  '>=': (order) => order >= 0,
  '>': (order) => order > 0,
  '<=': (order) => order <= 0,
  '<': (order) => order < 0,
};

/** `<or> a <or> b` and `<all-in> a <all-in> b`: the operands; blanks inside them stay. */
function operands(text: string, operator: string): string[] {
  const found = text
    .split(operator)
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (found.length === 0) throw refuse(`${operator} has nothing after it`);
  return found;
}

/** A text hint with a number's operator; a disk whose text is no number does not match. */
function numberInTextTest(operator: string, operand: string): Test {
  const wanted = Number(operand);
  if (operand === '' || Number.isNaN(wanted))
    throw refuse(`${operator} compares numbers, and "${operand}" is none; s${operator} compares texts`);
  const compare = COMPARISONS[operator];
  const isMatch = (value: string) => {
    const number = Number(normal(value) || 'none');
    return !Number.isNaN(number) && (compare?.(Math.sign(number - wanted)) ?? false);
  };
  return { matches: (values) => values.some(isMatch) };
}

function textTest(hint: string): Test {
  const text = normal(hint);
  if (text === '') throw refuse('a hint is empty');
  const number = /^(==|!=|>=|<=|=|>|<)(?!(?:or|in|all-in|range-in)>)\s*(.*)$/s.exec(text);
  if (number) return numberInTextTest(number[1] ?? '', number[2] ?? '');
  const any = (test: (value: string) => boolean): Test => ({
    matches: (values) => values.some((value) => test(normal(value))),
  });
  if (text.startsWith('<or>')) {
    const wanted = new Set(operands(text, '<or>'));
    return any((value) => wanted.has(value));
  }
  if (text.startsWith('<all-in>')) {
    const wanted = operands(text, '<all-in>').flatMap((part) => part.split(/\s+/));
    return any((value) => wanted.every((part) => value.includes(part)));
  }
  if (text.startsWith('<in>')) {
    const part = text.slice('<in>'.length).trim();
    // Every text has nothing in it: such a hint would mean all disks.
    if (part === '') throw refuse('<in> has nothing after it');
    return any((value) => value.includes(part));
  }
  const match = /^s(==|!=|>=|>|<=|<)\s*(.*)$/s.exec(text);
  const compare = COMPARISONS[match?.[1] ?? '=='] ?? (() => false);
  const wanted = match?.[2] ?? text;
  const order = (value: string) => (value === wanted ? 0 : encoded(value) < encoded(wanted) ? -1 : 1);
  // "Not this serial" must not be met by a disk of which one of two serials is another.
  if (match?.[1] === '!=') return { matches: (values) => values.every((value) => normal(value) !== wanted) };
  return any((value) => compare(order(value)));
}

function positiveInteger(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) === 0) throw refuse(`size ${text} is no whole number of GiB above 0`);
  return Number(text);
}

/** `<range-in> [ 10 100 )`: a bracket includes the bound, a parenthesis leaves it out. */
function rangeTest(text: string): (gib: number) => boolean {
  const match = /^([[(])\s*(\d+)\s+(\d+)\s*([\])])$/.exec(text);
  if (!match) throw refuse(`size range ${text} is not of the form "<range-in> [ 10 100 )"`);
  const [low, high] = [positiveInteger(match[2] ?? ''), positiveInteger(match[3] ?? '')];
  return (gib) => (match[1] === '[' ? gib >= low : gib > low) && (match[4] === ']' ? gib <= high : gib < high);
}

function sizePredicate(hint: unknown): (gib: number) => boolean {
  if (typeof hint !== 'string' && typeof hint !== 'number') throw refuse(`size ${JSON.stringify(hint)} is no text`);
  const text = normal(String(hint));
  if (text.startsWith('<range-in>')) return rangeTest(text.slice('<range-in>'.length).trim());
  if (text.startsWith('<or>') || text.startsWith('<in>')) {
    const wanted = operands(text, text.startsWith('<or>') ? '<or>' : '<in>').map((part) => positiveInteger(part));
    return (gib) => wanted.includes(gib);
  }
  const match = /^(?:s(?=[=!<>]))?(==|!=|>=|>|<=|<|=)?\s*(.*)$/s.exec(text);
  const wanted = positiveInteger(match?.[2] ?? '');
  const compare = COMPARISONS[match?.[1] ?? '=='];
  return (gib) => compare?.(Math.sign(gib - wanted)) ?? false;
}

function sizeTest(hint: unknown): Test {
  const predicate = sizePredicate(hint);
  return { matches: (values) => values.some((value) => predicate(Number(value) / GIB)) };
}

const BOOLEANS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(['true', '1', 'on', 'yes', 't', 'y'].map((word) => [word, 'true'])),
  ...Object.fromEntries(['false', '0', 'off', 'no', 'f', 'n'].map((word) => [word, 'false'])),
};

function booleanTest(hint: unknown): Test {
  const word =
    typeof hint === 'string' || typeof hint === 'number' || typeof hint === 'boolean' ? normal(String(hint)) : '';
  const wanted = Object.hasOwn(BOOLEANS, word) ? BOOLEANS[word] : undefined;
  if (wanted === undefined) throw refuse(`rotational ${JSON.stringify(hint)} is neither true nor false`);
  return { matches: (values) => values.includes(wanted) };
}

type HintKey = {
  values: (record: DiskRecord) => readonly (string | number | boolean | null)[];
  test: (hint: unknown) => Test;
};
const textHint = (hint: unknown): Test => {
  if (typeof hint !== 'string' && typeof hint !== 'number') throw refuse(`${JSON.stringify(hint)} is no text`);
  return textTest(String(hint));
};

/** Every hint there is, and what of a disk it is compared with. */
const KEYS: Readonly<Record<string, HintKey>> = {
  size: { values: ({ disk }) => [disk.size], test: sizeTest },
  rotational: { values: ({ disk }) => [disk.rotational], test: booleanTest },
  model: { values: ({ disk }) => [disk.model], test: textHint },
  wwn: { values: ({ wwns }) => wwns, test: textHint },
  serial: { values: ({ serials }) => serials, test: textHint },
  vendor: { values: ({ disk }) => [disk.vendor], test: textHint },
  wwn_with_extension: { values: ({ disk }) => [disk.wwn_with_extension], test: textHint },
  wwn_vendor_extension: { values: ({ disk }) => [disk.wwn_vendor_extension], test: textHint },
  name: { values: ({ disk, names }) => names ?? [disk.name], test: textHint },
  hctl: { values: ({ disk, hctls }) => hctls ?? [disk.hctl], test: textHint },
  by_path: { values: ({ disk, byPaths }) => byPaths ?? [disk.by_path], test: textHint },
  volume_name: { values: ({ volumeName }) => [volumeName ?? null], test: textHint },
  tran: { values: ({ disk }) => [disk.tran], test: textHint },
};

/** What a disk shows for a hint, for messages. */
function show(key: string, values: readonly string[]): string {
  if (values.length === 0) return 'unknown';
  return key === 'size' ? `${(Number(values[0]) / GIB).toFixed(2)} GiB` : values.join(' or ');
}

/**
 * Makes a function that tries hints on disks; all hints must match.
 * @returns the reasons why a disk does not match; none means that it does
 * @throws AgentError `InvalidCommandParamsError` for a hint that makes no sense
 */
export function compileHints(hints: Hints): (record: DiskRecord) => string[] {
  const entries = Object.entries(hints);
  if (entries.length === 0) throw refuse('there are none');
  const tests = entries.map(([key, hint]) => {
    const spec = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
    if (!spec) throw refuse(`"${key}" is not known (${Object.keys(KEYS).join(', ')} are)`);
    return { key, hint, values: spec.values, test: spec.test(hint) };
  });
  return (record) =>
    tests.flatMap(({ key, hint, values, test }) => {
      const present = values(record).flatMap((value) => (value === null ? [] : [String(value)]));
      return test.matches(present) ? [] : [`${key} is ${show(key, present)}, not ${String(hint)}`];
    });
}
