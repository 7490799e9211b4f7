import { basename } from 'node:path';

import { ARCHITECTURE_NAMES } from '../../arch/table.ts';
import { type OptionTable, parseOptions, sizeBytes, usageFailure, type Values } from '../../cli/options.ts';
import { COMPRESSIONS } from '../compression.ts';
import type { BuildOptions } from '../context.ts';
import { defaultCacheRoot } from '../host/cache.ts';
import { MEDIA_FORMATS } from '../media/formats.ts';
import { splitWords } from './words.ts';

/** What every command that looks at a build or makes one takes. */
export const BUILD_OPTIONS = {
  arch: {
    type: 'string',
    short: 'a',
    multiple: true,
    placeholder: 'NAME',
    help: `architecture of the ramdisk: ${ARCHITECTURE_NAMES.join(', ')}, or all (default: the variable ARCH, else this machine’s own)`,
  },
  release: {
    type: 'string',
    short: 'r',
    placeholder: 'NAME',
    help: 'release it is made of, such as trixie, 22.03-LTS, 9-stream; `build-ramdisk list` has all of them (default: the variable DIB_RELEASE, else the first that has the architecture)',
  },
  element: {
    type: 'string',
    short: 'e',
    multiple: true,
    placeholder: 'NAME',
    help: 'element to put in besides the agent; several in one word, apart by spaces or commas, are fine',
  },
  'elements-path': {
    type: 'string',
    multiple: true,
    placeholder: 'DIR',
    help: 'folder with more elements, or several apart by colons; the first that has a name wins (default: the variable ELEMENTS_PATH)',
  },
  package: {
    type: 'string',
    short: 'p',
    multiple: true,
    placeholder: 'NAME',
    help: 'package of the release to put in whole, with what it depends on; several apart by commas are fine',
  },
  output: {
    type: 'string',
    short: 'o',
    placeholder: 'NAME',
    help: 'where the results go, without their endings (default: ingot-ARCH; with several architectures, NAME-ARCH)',
  },
  mirror: {
    type: 'string',
    multiple: true,
    placeholder: 'URL',
    help: 'mirror of the distribution (default: the variable DIB_DISTRIBUTION_MIRROR, else for Debian that of this machine’s APT); a second one that ends in -security for security updates',
  },
  'max-size': {
    type: 'string',
    placeholder: 'SIZE',
    help: 'fail when kernel and initramfs are larger together: 60M, 45.5MB, 48MiB, or bytes',
  },
  key: {
    type: 'string',
    multiple: true,
    placeholder: 'FILE',
    help: 'OpenPGP key that an RPM mirror’s packages are signed with, in place of the distribution’s own',
  },
  cache: {
    type: 'string',
    placeholder: 'DIR',
    help: `folder for downloads and finished layers (default: ${defaultCacheRoot({ HOME: '~' })})`,
  },
  locked: {
    type: 'boolean',
    help: 'build what NAME.manifest.json locks, or the manifest that is named beside it: the same packages, not the newest',
  },
  offline: {
    type: 'boolean',
    help: 'ask no network: package lists as the last build left them, packages from the cache',
  },
  format: {
    type: 'string',
    short: 'f',
    multiple: true,
    placeholder: 'NAME',
    help: `media to write besides kernel and initramfs: ${MEDIA_FORMATS.join(', ')}; several apart by commas are fine`,
  },
  append: {
    type: 'string',
    placeholder: 'TEXT',
    help: 'kernel parameters on that media, such as ipa-api-url=https://…',
  },
  compress: {
    type: 'string',
    placeholder: 'METHOD',
    help: `how the initramfs is compressed: ${COMPRESSIONS} (default: zstd as small as it gets; zstd:3 is quick)`,
  },
  agent: { type: 'string', placeholder: 'FILE', help: 'source of another agent, for trying things out' },
  'extra-args': {
    type: 'string',
    multiple: true,
    placeholder: 'WORDS',
    help: 'more options in one word, as ironic-python-agent-builder takes them: --extra-args="-x -p fio"',
  },
  'allow-network': {
    type: 'boolean',
    help: 'let hooks of elements fetch what nobody has signed (curl, git, pip …); what they fetch is in the manifest’s warning',
  },
  trace: { type: 'boolean', short: 'x', help: 'show each command that an element’s hook runs' },
  json: { type: 'boolean', help: 'progress and result as one JSON object a line' },
  verbose: { type: 'boolean', short: 'v', help: 'also list every package, file group and module that went in' },
} as const satisfies OptionTable;

export type BuildValues = Values<typeof BUILD_OPTIONS>;

/** What is to be built, without the machine that it is built on. */
export type BuildRequest = Omit<BuildOptions, 'host' | 'progress' | 'signal'>;

/** What stands on a command line of diskimage-builder between the elements: a base, by the name of its element. */
const DISTRIBUTIONS: Readonly<Record<string, string>> = {
  debian: 'debian',
  'debian-minimal': 'debian',
  openeuler: 'openeuler',
  'openeuler-minimal': 'openeuler',
  centos: 'centos',
  'centos-minimal': 'centos',
};

/** Lists of names in one word or several: `-e "a b" -e c,d`. */
function names(words: readonly string[]): string[] {
  return words.flatMap((word) => word.split(/[\s,]+/)).filter(Boolean);
}

/** Puts `--extra-args` into the command line that it belongs to. */
function withExtraArguments(values: BuildValues, positionals: readonly string[]): [BuildValues, string[]] {
  if (values['extra-args'].length === 0) return [values, [...positionals]];
  const extra = parseOptions(BUILD_OPTIONS, values['extra-args'].flatMap(splitWords));
  const merged = Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      const more: unknown = extra.values[name as keyof BuildValues];
      if (Array.isArray(value)) return [name, [...value, ...(more as string[])]];
      return [name, more === undefined || more === false ? value : more];
    }),
  ) as BuildValues;
  return [merged, [...positionals, ...extra.positionals]];
}

function checkOutput(output: string | undefined): void {
  if ((output !== undefined && /^$|\/$/.test(output)) || basename(output ?? 'x') === '.')
    throw usageFailure(`cannot use --output ${output ?? ''}: it is the start of a file name`, 'such as -o out/ingot');
}

/** The manifest after `--locked`, if one is named; true for the output's own. */
function lockOf(values: BuildValues, positionals: readonly string[]): string | boolean {
  if (!values.locked) return false;
  const files = positionals.filter((word) => word.endsWith('.json'));
  if (files.length > 1) throw usageFailure(`cannot build from ${files.join(' and ')} at once`);
  return files[0] ?? true;
}

function architectures(values: BuildValues, env: NodeJS.ProcessEnv): (string | undefined)[] {
  const wanted = names(values.arch);
  if (wanted.some((name) => name.toLowerCase() === 'all')) return [...ARCHITECTURE_NAMES];
  if (wanted.length > 0) return [...new Set(wanted)];
  return [env['ARCH'] || undefined];
}

/**
 * What a command line asks for: one build for each architecture.
 *
 * The words are those of disk-image-create and ironic-python-agent-builder, whose users type them from habit: the words that are
 * no options name a base (`openeuler-minimal`) or elements, and the variables ARCH, DIB_RELEASE, DIB_DISTRIBUTION_MIRROR and
 * ELEMENTS_PATH stand for options that are not given.
 * @throws Failure with exit code 2
 */
export function buildRequests(
  given: BuildValues,
  givenWords: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): BuildRequest[] {
  const [values, positionals] = withExtraArguments(given, givenWords);
  checkOutput(values.output);
  const lock = lockOf(values, positionals);
  const words = positionals.filter((word) => word !== lock);
  const bases = [...new Set(words.flatMap((word) => DISTRIBUTIONS[word] ?? []))];
  if (bases.length > 1)
    throw usageFailure(`cannot build from ${bases.join(' and ')} at once`, 'name one of them, or run it once for each');
  const elements = names([...words.filter((word) => DISTRIBUTIONS[word] === undefined), ...values.element]);
  const archs = architectures(values, env);
  const mirror = values.mirror.length > 0 ? values.mirror : names([env['DIB_DISTRIBUTION_MIRROR'] ?? '']);
  const paths = values['elements-path'].length > 0 ? values['elements-path'] : [env['ELEMENTS_PATH'] ?? ''];
  return archs.map((arch) => ({
    arch,
    distribution: bases[0],
    release: values.release ?? (env['DIB_RELEASE'] || undefined),
    // Without other wishes, a lock says itself what was asked for.
    elements: lock !== false && elements.length === 0 ? undefined : ['agent', ...elements],
    elementsPath: paths.flatMap((path) => path.split(':')).filter(Boolean),
    env,
    packages: names(values.package),
    output: archs.length > 1 && values.output !== undefined ? `${values.output}-${arch}` : values.output,
    mirror,
    keys: values.key,
    maxBytes: values['max-size'] === undefined ? undefined : sizeBytes('max-size', values['max-size']),
    compress: values.compress,
    formats: names(values.format),
    append: values.append,
    lock,
    agentEntry: values.agent,
    trace: values.trace,
    allowNetwork: values['allow-network'],
  }));
}
