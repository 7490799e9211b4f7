import { describe, expect, test } from 'vitest';

import { commandsThatMatter } from '../../../builder/scripts/harmless.ts';

const shell = (text: string, kind = 'postinst') => commandsThatMatter({ kind, interpreter: '/bin/sh', text });

// Written in the manner of debhelper's pieces (debhelper's autoscripts) and of maintainers; the live tests read the real ones.
describe('scripts of Debian packages', () => {
  test.each([
    [
      'a case for each way to be called',
      'set -e\ncase "$1" in\n  configure)\n    dpkg-trigger --no-await update-initramfs\n  ;;\n  abort-upgrade|abort-remove)\n  ;;\n  *)\n    echo "unknown: $1" 1>&2\n    exit 1\n  ;;\nesac\nexit 0',
    ],
    ['files of an older version', 'dpkg-maintscript-helper rm_conffile /etc/init.d/x 1.2\\~ -- "$@"'],
    [
      'units of systemd',
      'if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ] ; then\n\tif deb-systemd-helper --quiet was-enabled \'x.timer\'; then\n\t\tdeb-systemd-helper enable \'x.timer\' >/dev/null || true\n\tfi\n\tif [ -d /run/systemd/system ]; then\n\t\tsystemctl --system daemon-reload >/dev/null || true\n\tfi\nfi',
    ],
    [
      'users and folders of systemd',
      'systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} x.conf\nif [ -x "$(command -v systemd-tmpfiles)" ]; then\n  systemd-tmpfiles --create x.conf || true\nfi',
    ],
    [
      'what waits for a merged /usr',
      'for f in a b; do\n  dpkg-divert --quiet \\\n    --divert "/lib/$f.usr-is-merged" \\\n    --add "/lib/$f"\ndone',
    ],
    [
      'a function that only looks',
      'is_merged() {\n  for d in /bin; do\n    [ -e "$d" ] || continue\n  done\n  return 0\n}\nif is_merged; then exit 0; fi',
    ],
  ])('%s is no work', (_, text) => {
    expect(shell(text)).toEqual([]);
  });

  test('what is left of a long one is what it does', () => {
    const text = `set -e
update_all() {
  # in vain here
  systemd-hwdb update || true
}
case "$1" in
  configure)
    update_all
    if dpkg --compare-versions "$2" lt 2.0 && test -f /etc/old; then
      cp /etc/old /etc/new
    fi
    update-alternatives --install /usr/bin/pager pager /bin/more 50 \\
      --slave /usr/share/man/pager pager.1 /usr/share/man/more
  ;;
  triggered) update_all; exit 0 ;;
esac`;
    expect(shell(text)).toEqual([
      'systemd-hwdb update',
      'cp /etc/old /etc/new',
      'update-alternatives --install /usr/bin/pager pager /bin/more 50 --slave /usr/share/man/pager pager.1 /usr/share/man/more',
    ]);
  });

  test('triggers that ask for ldconfig are no work, others are', () => {
    expect(shell('interest-noawait /usr/lib/udev/hwdb.d\nactivate-noawait ldconfig\n', 'triggers')).toEqual([]);
    expect(shell('# comment\nactivate-await update-ca-certificates\n', 'triggers')).toEqual([
      'activate-await update-ca-certificates',
    ]);
  });
});

describe('scriptlets of RPM packages', () => {
  const rpm = (interpreter: string, text = '') => commandsThatMatter({ kind: '%post', interpreter, text });

  test('ldconfig alone, or with what systemd’s macros write, is no work', () => {
    expect(rpm('/sbin/ldconfig')).toEqual([]);
    expect(
      rpm(
        '/bin/sh',
        `if [ $1 -eq 1 ] && [ -x "/usr/lib/systemd/systemd-update-helper" ]; then
    # Initial installation
    /usr/lib/systemd/systemd-update-helper install-system-units chronyd.service || :
fi
if [ $1 -eq 1 ] ; then
  /usr/bin/systemctl --no-reload preset sshd.service sshd.socket &>/dev/null || :
fi
/sbin/ldconfig`,
      ),
    ).toEqual([]);
  });

  test('users and scripts in Lua matter', () => {
    expect(
      rpm(
        '/bin/sh',
        'getent group tss >/dev/null || groupadd -f -g 59 -r tss\nif ! getent passwd tss >/dev/null ; then useradd -r -u 59 tss ; fi',
      ),
    ).toEqual(['groupadd -f -g 59 -r tss', 'useradd -r -u 59 tss']);
    expect(rpm('<lua>', 'posix.mkdir("/x")')).toEqual(['a script for <lua>']);
    expect(rpm('/usr/sbin/build-locale-archive')).toEqual(['/usr/sbin/build-locale-archive']);
  });
});

describe('a command', () => {
  test.each([
    ['a file that is written', 'echo yes > /etc/enabled', ['echo yes > /etc/enabled']],
    ['a file that is added to', 'cat "$x" >>/etc/shells', ['cat "$x" >>/etc/shells']],
    ['a here-document', 'cat <<EOF >/etc/x\nrm -rf /\nEOF\ntrue', ['cat <<EOF >/etc/x']],
    ['one in a function', 'make() {\n  mkdir /srv/x\n}\nmake', ['mkdir /srv/x']],
    ['one in a branch', 'case "$1" in\n  configure|abort*)\n    chmod 600 /x ;;\nesac', ['chmod 600 /x']],
    ['one after a pattern on its line', 'case $1 in configure) chown a /x;; *) ;; esac', ['chown a /x']],
    ['one behind another', 'test -e /x && touch /y || { ln -s a b; }', ['touch /y', 'ln -s a b']],
    ['one in a pipe', 'grep a /x | tee /y', ['tee /y']],
    ['one with a variable before it', 'A=1 B="x y" adduser z', ['A=1 B="x y" adduser z']],
    ['one that is a variable', '$helper --all', ['$helper --all']],
    ['one with quoted separators', 'install -m 600 \'a;b\' "c && $(d; e)"', ['install -m 600 \'a;b\' "c && $(d; e)"']],
    ['one over two lines', 'cp a \\\n  b', ['cp a b']],
    ['a sed in place', 'sed -i s/a/b/ /etc/x', ['sed -i s/a/b/ /etc/x']],
    ['a find that deletes', 'find /x -name y -delete', ['find /x -name y -delete']],
  ])('%s matters', (_, text, commands) => {
    expect(shell(text)).toEqual(commands);
  });

  test.each([
    ['output to nowhere', 'echo x >/dev/null 2>&1; echo y >&2'],
    ['looking', 'if dpkg --compare-versions "$2" lt-nl 1.2; then :; fi; x=$(sed -e s/a/b/ /etc/x | cut -d: -f1)'],
    ['a comment', '# rm -rf /'],
    ['an assignment', 'PATH=/bin:/usr/bin\nexport PATH'],
    ['a loop', 'for f in a b; do\n  dpkg-query -L "$f"\ndone < /x\nwhile read -r line; do echo "$line"; done'],
  ])('%s does not', (_, text) => {
    expect(shell(text)).toEqual([]);
  });
});
