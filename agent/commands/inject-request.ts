import { AgentError } from '../api/errors.ts';

/** A file that is to be on the deployed system. Modes and owners are numbers. */
export type InjectedFile = {
  /** Absolute, of the deployed system. */
  path: string;
  /** Number of a partition of the root disk, a device, or `LABEL=…`, `PARTLABEL=…`, `UUID=…`; undefined: found by the path. */
  partition: string | undefined;
  /** Base64, or a URL; undefined: the file is emptied. */
  content: string | undefined;
  deleted: boolean;
  mode: number | undefined;
  dirmode: number | undefined;
  owner: number | undefined;
  group: number | undefined;
};

const KEYS = ['path', 'partition', 'content', 'deleted', 'mode', 'dirmode', 'owner', 'group'];

export const isUrlContent = (content: string): boolean => content.includes('://');

function isBase64(text: string): boolean {
  const packed = text.replaceAll(/\s/g, '');
  return packed.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(packed);
}

function checkPath(path: unknown, hasPartition: boolean): string[] {
  if (typeof path !== 'string' || path === '') return ['it has no path'];
  const problems: string[] = [];
  if (!path.startsWith('/')) problems.push('its path is not absolute');
  if (path.endsWith('/')) problems.push('directories are not supported');
  if (path.split('/').some((part) => part === '..' || part === '.')) problems.push('its path has . or .. in it');
  if (path.split('/').filter(Boolean).length < 2 && !hasPartition)
    problems.push('a file in the root directory needs a partition');
  return problems;
}

function checkFile(file: Record<string, unknown>): string[] {
  const { path, partition, content, deleted } = file;
  const unknown = Object.keys(file).filter((key) => !KEYS.includes(key));
  const numbers = ['mode', 'dirmode', 'owner', 'group'].filter(
    (key) => file[key] !== undefined && !(Number.isInteger(file[key]) && (file[key] as number) >= 0),
  );
  const isPartition = partition === undefined || partition === null || ['string', 'number'].includes(typeof partition);
  return [
    ...(unknown.length > 0 ? [`${unknown.join(', ')} is not known`] : []),
    ...checkPath(path, partition !== undefined && partition !== null && partition !== ''),
    ...(isPartition ? [] : ['its partition is neither a number nor a text']),
    ...numbers.map((key) => `its ${key} is no whole number`),
    ...(content && deleted ? ['content and deleted exclude one another'] : []),
    ...(content !== undefined && content !== null && typeof content !== 'string' ? ['its content is no text'] : []),
    ...(typeof content === 'string' && !isUrlContent(content) && !isBase64(content)
      ? ['its content is neither base64 nor a URL']
      : []),
  ];
}

function readFile(file: Record<string, unknown>): InjectedFile {
  const number = (key: string): number | undefined => (typeof file[key] === 'number' ? file[key] : undefined);
  const { partition } = file;
  return {
    path: String(file['path']),
    partition:
      typeof partition === 'string' || typeof partition === 'number' ? String(partition) || undefined : undefined,
    content: typeof file['content'] === 'string' ? file['content'] : undefined,
    deleted: Boolean(file['deleted']),
    // IPA takes 0 for "leave it".
    mode: number('mode') || undefined,
    dirmode: number('dirmode') || undefined,
    owner: number('owner'),
    group: number('group'),
  };
}

/**
 * The files of a node's property `inject_files`, then those of the step's argument (agent-protocol F.8).
 * @throws AgentError `InvalidCommandParamsError` with everything that is wrong; contents are never shown
 */
export function readInjectedFiles(ofNode: unknown, ofStep: unknown): InjectedFile[] {
  const lists = { 'properties.inject_files': ofNode ?? [], files: ofStep ?? [] };
  const problems: string[] = [];
  const files: InjectedFile[] = [];
  for (const [name, list] of Object.entries(lists)) {
    if (!Array.isArray(list)) {
      problems.push(`${name} is no list`);
      continue;
    }
    for (const [index, one] of (list as unknown[]).entries()) {
      const isObject = typeof one === 'object' && one !== null && !Array.isArray(one);
      const file = (isObject ? one : {}) as Record<string, unknown>;
      const wrong = isObject ? checkFile(file) : ['it is no object'];
      const what = typeof file['path'] === 'string' ? ` (${file['path']})` : '';
      problems.push(...wrong.map((why) => `${name}, number ${index + 1}${what}: ${why}`));
      if (wrong.length === 0) files.push(readFile(file));
    }
  }
  if (problems.length > 0)
    throw new AgentError('InvalidCommandParamsError', `cannot inject files: ${problems.join('; ')}`);
  return files;
}

/**
 * Fills `{node[uuid]}` and `{ports[0][address]}` in a URL, as Python's format does for IPA; `{{` is a brace.
 * @throws AgentError `InvalidCommandParamsError` for what there is not
 */
export function fillUrl(url: string, values: Readonly<Record<string, unknown>>): string {
  return url.replaceAll(/\{\{|\}\}|\{([^{}]*)\}/g, (whole, inside: string | undefined) => {
    if (inside === undefined) return whole.slice(0, 1);
    const steps = [...inside.matchAll(/([^.[\]]+)/g)].map(([step]) => step);
    let value: unknown = values;
    for (const step of steps)
      value =
        typeof value === 'object' && value !== null && Object.hasOwn(value, step)
          ? (value as Record<string, unknown>)[step]
          : undefined;
    if (steps.length > 0 && ['string', 'number', 'boolean'].includes(typeof value)) return String(value);
    throw new AgentError(
      'InvalidCommandParamsError',
      `cannot inject files: ${whole} in a URL names nothing of the node or its ports`,
    );
  });
}
