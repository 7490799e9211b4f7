/**
 * One request and its answer, as it was on the wire but for secrets; a file of test/fixtures/wire is a list of them. Bodies are
 * parsed JSON, or null where there was none.
 */
export type Exchange = {
  /** Seconds since the flow's first one. */
  at: number;
  /** Who asked. */
  from: 'agent' | 'conductor';
  method: string;
  /** With the query. */
  path: string;
  requestHeaders: Record<string, string>;
  requestBody: unknown;
  status: number;
  responseBody: unknown;
};

/** Headers that mean something in the protocol; the others are the HTTP library's. */
const HEADERS = ['accept', 'content-type', 'x-openstack-ironic-api-version', 'x-openstack-request-id'];

export function meaningfulHeaders(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    HEADERS.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]] as const] : [])),
  );
}

/** @returns null for an empty body, the text itself where it is no JSON */
export function parseBody(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** Fields whose values are secret, or differ in each run and are checked by nobody. */
const PLACEHOLDERS: Readonly<Record<string, string>> = {
  agent_token: 'AGENT_TOKEN',
  agent_verify_ca: 'CERTIFICATE',
  configdrive: 'CONFIG_DRIVE',
  rescue_password: 'RESCUE_PASSWORD',
  system_logs: 'LOGS',
  logs: 'LOGS',
};

/** Ironic's own mask stays what it is: that a token is not sent is part of the protocol. */
const MASK = '******';

/**
 * Replaces secrets by placeholders: the same value by the same one, a new value by the next number, also where it stands in the
 * middle of other text.
 */
export function withoutSecrets(exchanges: readonly Exchange[]): Exchange[] {
  const known = new Map<string, string>();
  const counts = new Map<string, number>();
  const placeholder = (kind: string, value: string): string => {
    const found = known.get(value);
    if (found !== undefined) return found;
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    const made = `<${kind}_${count}>`;
    known.set(value, made);
    return made;
  };
  const learn = (value: unknown, key?: string): void => {
    const kind = key === undefined ? undefined : PLACEHOLDERS[key];
    if (typeof value === 'string' && kind !== undefined && value !== MASK && value !== '') placeholder(kind, value);
    else if (Array.isArray(value)) value.forEach((one) => learn(one));
    else if (typeof value === 'object' && value !== null)
      for (const [name, inner] of Object.entries(value)) learn(inner, name);
  };
  const replaceText = (text: string): string => {
    let result = text;
    for (const [value, made] of known) result = result.replaceAll(value, made);
    return result;
  };
  const replace = (value: unknown): unknown => {
    if (typeof value === 'string') return replaceText(value);
    if (Array.isArray(value)) return value.map(replace);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, replace(inner)]));
  };
  // All of them first: a secret may stand somewhere before the field that says what it is.
  for (const { requestBody, responseBody } of exchanges) [requestBody, responseBody].forEach((body) => learn(body));
  return exchanges.map((exchange) => ({
    ...exchange,
    path: replaceText(exchange.path),
    requestBody: replace(exchange.requestBody),
    responseBody: replace(exchange.responseBody),
  }));
}
