import type { MergedFile, MergedHooks } from './hooks.ts';
import { PHASES } from './phases.ts';

/** A hook with its text. */
export type HookText = { file: MergedFile; place: 'host' | 'image'; text: string };

const withoutComments = (text: string) => text.replaceAll(/^\s*#.*$/gm, '');

/** Whether a shell script calls a program: its name where a command can stand. */
function calls(text: string, program: string): boolean {
  const escaped = program.replaceAll(/[.+-]/g, String.raw`\$&`);
  return new RegExp(
    String.raw`(?:^|[|;&({]|\$\(|\b(?:sudo|then|do|else|exec|env|if|!)\s)\s*(?:-\S+\s+)*${escaped}(?=\s|$|\))`,
    'm',
  ).test(text);
}

/** Programs that upstream's hooks call beside the image and that a machine may lack: program to Debian package. */
const HOST_PROGRAMS: Readonly<Record<string, string>> = {
  curl: 'curl',
  wget: 'wget',
  git: 'git',
  jq: 'jq',
  rsync: 'rsync',
  unzip: 'unzip',
  dnf: 'dnf',
  yum: 'dnf',
  rpm: 'rpm',
  debootstrap: 'debootstrap',
  kpartx: 'kpartx',
  'qemu-img': 'qemu-utils',
  python3: 'python3',
};

/** Programs by which a hook fetches what nobody has signed for the base that it is built of. */
const FETCHERS = ['curl', 'wget', 'git', 'pip', 'pip3', 'npm', 'cache-url'];

/** Programs by which a hook installs packages, from lists that are signed. */
const INSTALLERS = ['apt-get', 'apt', 'dnf', 'yum', 'install-packages'];

/** Programs that hooks call beside the image, by the package that has them. */
export function hostPrograms(hooks: readonly HookText[]): { program: string; package: string; hook: MergedFile }[] {
  return hooks
    .filter((one) => one.place === 'host')
    .flatMap(({ file, text }) =>
      Object.entries(HOST_PROGRAMS)
        .filter(([program]) => calls(withoutComments(text), program))
        .map(([program, name]) => ({ program, package: name, hook: file })),
    );
}

type NetworkHook = { hook: MergedFile; program: string };

function callers(hooks: readonly HookText[], programs: readonly string[]): NetworkHook[] {
  return hooks.flatMap(({ file, text }) => {
    const program = programs.find((name) => calls(withoutComments(text), name));
    return program === undefined ? [] : [{ hook: file, program }];
  });
}

/** Hooks that fetch or install things themselves: what they get can be another thing tomorrow. */
export function networkHooks(hooks: readonly HookText[]): NetworkHook[] {
  return callers(hooks, [...FETCHERS, ...INSTALLERS]);
}

/** Of these, the ones that fetch what is not signed; they run only where that is allowed. */
export function fetchingHooks(hooks: readonly HookText[]): NetworkHook[] {
  return callers(hooks, FETCHERS);
}

/** All scripts that run, with their texts. */
export async function hookTexts(
  hooks: MergedHooks,
  read: (path: string) => Promise<string | undefined>,
): Promise<HookText[]> {
  const listed = PHASES.flatMap(({ name, place }) => (hooks.scripts.get(name) ?? []).map((file) => ({ file, place })));
  return Promise.all(listed.map(async (one) => ({ ...one, text: (await read(one.file.source)) ?? '' })));
}
