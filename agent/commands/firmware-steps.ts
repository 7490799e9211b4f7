import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { CommandContext, StepSpec } from '../engine/command-table.ts';
import type { AgentOs } from '../os/door.ts';
import type { AgentDeps } from './deps.ts';

/** What installed systems and their boot loaders leave behind: entries that begin at a disk's partition, and shim and GRUB anywhere (IPA). */
const DEFAULT_PATTERNS = [String.raw`^HD\(`, String.raw`shim.*\.efi`, String.raw`grub.*\.efi`];

/** A boot entry of the firmware. `path` is its device path as efibootmgr writes it, with what follows it. */
export type NvramEntry = { number: string; label: string; path: string };

/**
 * Lines `Boot0003* label<tab>path` of `efibootmgr -v`. Older versions put blanks where the tab is: then the path begins at the last
 * word before a parenthesis.
 */
export function parseNvramEntries(output: string): NvramEntry[] {
  return output.split('\n').flatMap((line) => {
    const match = /^Boot([0-9A-F]{4})[* ]\s?(?:([^\t]*)\t(.*)|(.*?)\s+(\w+\(.*))$/i.exec(line.trimEnd());
    if (!match) return [];
    const [, number = '', label = match[4] ?? '', path = match[5] ?? ''] = match;
    return [{ number, label: label.trim(), path }];
  });
}

function compilePatterns(value: unknown): RegExp[] {
  const refuse = (why: string) =>
    new AgentError(
      'InvalidCommandParamsError',
      `cannot use match_patterns: ${why}; it is a list of regular expressions`,
    );
  if (value === undefined || value === null) return DEFAULT_PATTERNS.map((text) => new RegExp(text, 'i'));
  if (!Array.isArray(value)) throw refuse(`${JSON.stringify(value)} is no list`);
  return value.map((text: unknown) => {
    if (typeof text !== 'string') throw refuse(`${JSON.stringify(text)} is no text`);
    try {
      return new RegExp(text, 'i');
    } catch (error) {
      throw refuse(reasonOf(error));
    }
  });
}

/** Some firmware's labels are no UTF-8, and some versions of efibootmgr print UTF-16. */
async function readNvram(os: AgentOs): Promise<NvramEntry[]> {
  const bytes = await os.runBytes('efibootmgr', ['-v']);
  const text = new TextDecoder('utf-8').decode(bytes);
  const isWide = bytes[0] === 0xff || bytes[1] === 0;
  return parseNvramEntries(isWide ? new TextDecoder('utf-16le').decode(bytes) : text);
}

/** Takes out the firmware's boot entries whose device path matches one of the patterns, without regard to case (IPA). */
async function cleanUefiNvram(
  { os }: AgentDeps,
  args: Record<string, unknown>,
  { log }: CommandContext,
): Promise<null> {
  const patterns = compilePatterns(args['match_patterns']);
  if (!(await os.files.exists('/sys/firmware/efi'))) {
    log('boot entries are left as they are: this machine was not started by UEFI');
    return null;
  }
  for (const { number, label, path } of await readNvram(os)) {
    const pattern = patterns.find((one) => one.test(path));
    if (!pattern) continue;
    await os.run('efibootmgr', ['-b', number, '-B']);
    log(`boot entry ${number} (${label}, ${path}) is gone: it matches ${pattern.source}`);
  }
  return null;
}

const PSTORE = '/sys/fs/pstore';

function pstoreMount(mounts: string): string | undefined {
  return /^\S+ (\S+) pstore /m.exec(mounts)?.[1];
}

/** Deletes what crashed kernels have left in the machine's persistent store. The ramdisk does not mount it, so it is mounted here. */
async function erasePstore({ os }: AgentDeps, { log }: CommandContext): Promise<null> {
  const before = pstoreMount((await os.files.read('/proc/mounts')) ?? '');
  if (before === undefined && !(await os.files.exists(PSTORE))) {
    log('there is no pstore: the kernel of this ramdisk has none');
    return null;
  }
  const place = before ?? PSTORE;
  if (before === undefined) await os.run('mount', ['-t', 'pstore', 'pstore', place]);
  try {
    const names = await os.files.list(place);
    for (const name of names) await os.files.remove(`${place}/${name}`);
    const left = await os.files.list(place);
    if (left.length > 0)
      throw new AgentError('CleaningError', `cannot erase pstore: ${left.join(', ')} came back, or cannot be deleted`);
    log(names.length === 0 ? 'pstore is empty' : `pstore is empty now; it had ${names.join(', ')}`);
    return null;
  } finally {
    if (before === undefined) await os.run('umount', [place]);
  }
}

/** Steps about what the firmware keeps. */
export const FIRMWARE_STEPS: readonly StepSpec<AgentDeps>[] = [
  {
    step: 'erase_pstore',
    interface: 'deploy',
    priorities: { clean: 0 },
    abortable: true,
    run: (deps, _request, context) => erasePstore(deps, context),
  },
  {
    step: 'clean_uefi_nvram',
    interface: 'deploy',
    priorities: { clean: 0, deploy: 0 },
    abortable: true,
    argsinfo: {
      match_patterns: {
        description: `Regular expressions; boot entries whose device path matches one are deleted. Default: ${JSON.stringify(DEFAULT_PATTERNS)}`,
        required: false,
      },
    },
    run: (deps, { args }, context) => cleanUefiNvram(deps, args, context),
  },
];
