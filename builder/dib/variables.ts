import type { Architecture } from '../../arch/table.ts';
import type { DibElement } from './find.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** What hooks never get from the caller: it says where and by whom a build is made, not what is made. */
const PRIVATE =
  /^(PATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|TERM|TMPDIR|LANG|LANGUAGE|LC_.*|EDITOR|VISUAL|DISPLAY|MAIL|HOSTNAME|SHLVL|_|SSH_.*|SUDO_.*|XDG_.*|BASH.*|NODE_.*|npm_.*|INGOT_.*)$/;
const PUBLIC =
  /^(DIB_.*|ELEMENTS_PATH|https?_proxy|ftp_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|break|break_cmd|break_outside_target)$/;

/**
 * The caller's variables that hooks see: DIB's own, proxies, and those that a hook names. DIB passes all of them, so that a build
 * depends on things that nobody meant.
 * @param texts hooks and files of environment.d
 */
export function callerVariables(env: Env, texts: readonly string[]): Record<string, string> {
  const named = new Set(texts.flatMap((text) => text.match(/\b[A-Za-z_][A-Za-z0-9_]{2,}\b/g) ?? []));
  return Object.fromEntries(
    Object.entries(env)
      .filter((entry): entry is [string, string] => entry[1] !== undefined)
      .filter(([name]) => PUBLIC.test(name) || (!PRIVATE.test(name) && named.has(name)))
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

const SECRET = /PASSW|SECRET|TOKEN|PRIVATE|CREDENTIAL/i;

/** DIB's variables as text for a manifest, without what must not be read by others. */
export function redacted(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .filter(([name]) => name.startsWith('DIB_'))
    .map(([name, value]) => `${name}=${SECRET.test(name) ? '(not shown)' : value}`)
    .join('\n');
}

/** What a build of DIB's is called by its hooks. */
export type DibBase = {
  /** `debian`, `openeuler`, `centos`. */
  distribution: string;
  release: string;
  family: 'debian' | 'rpm';
  /** Address of the distribution's packages. */
  mirror: string;
  /** One-line sources for APT; none for RPM. */
  sources: readonly string[];
  /** Settings for APT, as in apt.conf. */
  aptSettings: readonly string[];
};

/**
 * The time that programs write where they would write the present: 2025-01-01. In /etc/shadow it is the day of a password's last
 * change, where 0 would mean that it has to be changed.
 */
export const SOURCE_DATE_EPOCH = '1735689600';

/** `ARCH` as hooks expect it: Debian's name, or what DIB makes of `uname -m` elsewhere. */
function archVariable(row: Architecture, family: DibBase['family']): string {
  return family === 'debian' ? row.debian : row.dib;
}

export type HookPlaces = { build: string; tree: string; hooks: string; shell: string; cache: string };

/** All variables that DIB's own core gives to hooks, besides what the caller and environment.d say. */
export function coreVariables(
  row: Architecture,
  base: DibBase,
  elements: readonly DibElement[],
  places: HookPlaces,
  caller: Readonly<Record<string, string>>,
  trace: boolean,
): Record<string, string> {
  const names = elements.map((one) => one.name);
  const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;
  return {
    DIB_DEBUG_TRACE: trace ? '1' : '0',
    DIB_OFFLINE: '',
    DIB_DEFAULT_INSTALLTYPE: 'source',
    DIB_INIT_SYSTEM: 'systemd',
    DIB_PYTHON_VERSION: '3',
    DIB_PYTHON: 'python3',
    DIB_PYTHON_EXEC: 'python3',
    DIB_CHECKSUM: '0',
    DIB_NO_TMPFS: '1',
    DIB_MIN_TMPFS: '2',
    DIB_ROOT_FSTYPE: 'ext4',
    DIB_ROOT_LABEL: 'root',
    DIB_BOOT_LABEL: '',
    DIB_MOUNTPOINTS: '/',
    FS_TYPE: 'ext4',
    DIB_AVOID_PACKAGES_UPDATE: '1',
    DIB_SKIP_BASE_PACKAGE_INSTALL: '1',
    ...(base.family === 'rpm' && { YUM: 'dnf' }),
    ...caller,
    // Facts of this build, whatever the caller says.
    SOURCE_DATE_EPOCH,
    DISTRO_NAME: base.distribution,
    DIB_RELEASE: base.release,
    DIB_DISTRIBUTION_MIRROR: base.mirror,
    ARCH: archVariable(row, base.family),
    DIB_IMAGE_CACHE: `${places.cache}/image-create`,
    DIB_LOCKFILES: `${places.cache}/lockfiles`,
    TMP_BUILD_DIR: places.build,
    TMP_IMAGE_DIR: `${places.build}/image`,
    TMP_MOUNT_PATH: places.tree,
    TMP_HOOKS_PATH: places.hooks,
    DIB_MANIFEST_IMAGE_DIR: caller['DIB_MANIFEST_IMAGE_DIR'] ?? '/etc/dib-manifests',
    DIB_MANIFEST_SAVE_DIR: `${places.build}/manifests`,
    _LIB: `${places.shell}/lib`,
    IMAGE_NAME: `ingot-${row.name}`,
    IMAGE_ELEMENT: names.join(' '),
    IMAGE_ELEMENT_YAML: JSON.stringify(Object.fromEntries(elements.map(({ name, folder }) => [name, folder]))),
    DIB_ARGS: names.join(' '),
    DIB_ENV: redacted(caller),
    // Bash takes functions from variables of this form.
    'BASH_FUNC_get_image_element_array%%': `() { printf '%s' ${quoted(elements.map(({ name, folder }) => `[${name}]=${quoted(folder)}`).join(' '))}; }`,
    'BASH_FUNC_die%%': '() { local code=$?; set +o xtrace; echo "$@" >&2; exit $((code == 0 ? 1 : code)); }',
  };
}
