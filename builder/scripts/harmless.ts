import { type Command, type PackageScript, shellCommands, shellFunctions } from './shell.ts';

/** Words after a command that make it, or leave it, without meaning for a tree that is only unpacked. */
type Rule = { command: RegExp; when?: RegExp; unless?: RegExp; reason: string };

/** A file is written: not `/dev/null`, and no other stream. */
const WRITES = /(?:^|\s)(?:\d|&)?>>?\s*(?!&|\s*"?\/dev\/(?:null|stderr|stdout))/;

/**
 * Commands of maintainer scripts that need no counterpart in a ramdisk, whatever package they are of. What is not here is looked
 * at by a person, and then stands in an element with its reason.
 */
const HARMLESS: readonly Rule[] = [
  {
    command:
      /^(?:set|shift|umask|local|export|readonly|unset|trap|exit|return|continue|break|read|:|true|false|\[\[?|test|cd|wait)$/,
    reason: 'steers the script',
  },
  { command: /^(?:echo|printf|cat|db_\w+|\.)$/, unless: WRITES, reason: 'says or asks something' },
  {
    command:
      /^(?:getent|which|command|type|grep|egrep|cut|head|tail|tr|sort|uniq|wc|id|uname|readlink|basename|dirname|pidof|ls|stat|expr|md5sum|sha256sum|dpkg-query|dpkg-vendor|pathfind|ischroot|mktemp|date|sleep)$/,
    unless: WRITES,
    reason: 'only looks',
  },
  { command: /^sed$/, unless: /\s-i|\s--in-place|(?:^|\s)>/, reason: 'only looks' },
  { command: /^find$/, unless: /-delete|-exec|-fprint/, reason: 'only looks' },
  { command: /^dpkg$/, when: /--compare-versions|--validate|-[slLS]\b|--print/, reason: 'only looks' },
  { command: /^dpkg-statoverride$/, when: /--list/, reason: 'only looks' },
  { command: /^dpkg-maintscript-helper$/, reason: 'moves what an older version left; there is none' },
  { command: /^dpkg-divert$/, when: /\.usr-is-merged/, reason: 'for systems whose /usr is not merged; this one is' },
  { command: /^dpkg-trigger$/, when: /ldconfig|update-initramfs/, reason: 'asks for what is not needed, see there' },
  {
    command: /^(?:\/usr)?(?:\/sbin\/)?ldconfig$/,
    reason: 'the loader looks into its folders; a cache of so few libraries saves nothing',
  },
  { command: /^(?:\/usr\/sbin\/)?update-initramfs$/, reason: 'this is the initramfs' },
  { command: /^(?:\/usr)?(?:\/sbin\/)?depmod$/, reason: 'the builder writes the modules’ indexes' },
  {
    command: /^(?:update-rc\.d|invoke-rc\.d|service|chkconfig|\/sbin\/chkconfig)$/,
    reason: 'for another init; services are declared in elements',
  },
  {
    command:
      /^(?:deb-systemd-helper|deb-systemd-invoke|(?:\/usr)?(?:\/bin\/)?systemctl|\/usr\/lib\/systemd\/systemd-update-helper)$/,
    reason: 'for systemd; services are declared in elements',
  },
  {
    command: /^systemd-sysusers$/,
    reason: 'the files in sysusers.d are compared with the users that elements declare',
  },
  { command: /^systemd-tmpfiles$/, reason: 'done at boot by systemd; folders are declared in elements' },
  { command: /^(?:\/sbin\/)?restorecon$/, reason: 'no SELinux' },
  {
    command: /^(?:py3?compile|py3?clean|pypy3?compile|pypy3?clean|pycompile|pyclean)$/,
    reason: 'Python compiles what it runs',
  },
  {
    command:
      /^(?:install-info|\/sbin\/install-info|update-mime-database|update-desktop-database|gtk-update-icon-cache|update-menus|mandb)$/,
    reason: 'documentation and desktops',
  },
  {
    command: /^(?:udevadm|\/sbin\/udevadm|\/usr\/bin\/udevadm)$/,
    when: /control|trigger|settle/,
    reason: 'the machine that boots starts udev itself',
  },
];

function isHarmless({ words, text }: Command, functions: ReadonlySet<string>): boolean {
  const [name = ''] = words;
  if (functions.has(name)) return true; // what is in it is looked at
  if (/^"?\$\{?\w+\}?"?$/.test(name)) return false;
  return HARMLESS.some(
    ({ command, when, unless }) => command.test(name) && (when?.test(text) ?? true) && !(unless?.test(text) ?? false),
  );
}

/** Lines of Debian's `triggers` file that ask for something to be done. */
function triggerLines(text: string): string[] {
  return (
    text
      .split('\n')
      .map((line) => line.trim())
      // What it is interested in is done when another package comes; here all come at once.
      .filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('interest'))
      .filter((line) => !/^activate(?:-\w+)? (?:ldconfig|update-initramfs)$/.test(line))
  );
}

const SHELL = /^(?:\/usr)?\/bin\/(?:sh|bash|dash)(?:\s|$)/;

/**
 * What a package's script does that may matter in a ramdisk: its commands without those that have no meaning where packages are
 * only unpacked.
 * @returns each command once, as it is written; empty when all of it is known
 */
export function commandsThatMatter(script: PackageScript): string[] {
  if (script.kind === 'triggers') return triggerLines(script.text);
  const nothing = script.text.split('\n').every((line) => /^\s*(?:#|$)/.test(line));
  if (!SHELL.test(script.interpreter)) {
    const alone: Command = { words: [script.interpreter], text: script.interpreter };
    if (nothing && isHarmless(alone, new Set())) return [];
    return [nothing ? script.interpreter : `a script for ${script.interpreter}`];
  }
  const functions = shellFunctions(script.text);
  const matter = shellCommands(script.text).filter((command) => !isHarmless(command, functions));
  return [...new Set(matter.map((command) => command.text))];
}
