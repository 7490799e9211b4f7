/** One way of logging in that a server offers in WWW-Authenticate. Scheme and names are lower case. */
export type Challenge = { scheme: string; params: Record<string, string> };

const TOKEN = /^[!#$%&'*+.^_`|~\w-]+/;
const QUOTED = /^"((?:[^"\\]|\\.)*)"/s;

/** `name=value` or `name="value"` at the start of the text. */
function takeParameter(text: string): { name: string; value: string; length: number } | undefined {
  const name = TOKEN.exec(text)?.[0];
  if (name === undefined) return undefined;
  const equals = /^\s*=\s*/.exec(text.slice(name.length));
  if (!equals) return undefined;
  const start = name.length + equals[0].length;
  const quoted = QUOTED.exec(text.slice(start));
  const plain = quoted ? undefined : TOKEN.exec(text.slice(start))?.[0];
  const value = quoted ? (quoted[1] ?? '').replaceAll(/\\(.)/gs, '$1') : plain;
  if (value === undefined) return undefined;
  return { name: name.toLowerCase(), value, length: start + (quoted?.[0] ?? plain ?? '').length };
}

/**
 * Takes WWW-Authenticate apart (RFC 9110 11.6.1): several challenges, each with parameters, in one line. What makes no sense is
 * left out; the first of equal names counts.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let rest = header;
  while (rest !== '') {
    const skipped = /^[\s,]+/.exec(rest)?.[0].length ?? 0;
    rest = rest.slice(skipped);
    const last = challenges.at(-1);
    const parameter = last && takeParameter(rest);
    if (parameter) {
      last.params[parameter.name] ??= parameter.value;
      rest = rest.slice(parameter.length);
      continue;
    }
    const scheme = TOKEN.exec(rest)?.[0];
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), params: Object.create(null) });
    rest = rest.slice(scheme?.length ?? 1);
  }
  return challenges;
}
