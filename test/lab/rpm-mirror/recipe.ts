/** One RPM of the mirror, under the name that openEuler has for it. */
export type Recipe = {
  name: string;
  /** Debian packages whose files it has. */
  from: readonly string[];
  summary: string;
  /** Besides the libraries that its programs link. */
  requires?: readonly string[];
  provides?: readonly string[];
  recommends?: readonly string[];
  /** Paths that openEuler has elsewhere than Debian. */
  moved?: Readonly<Record<string, string>>;
  links?: Readonly<Record<string, string>>;
  files?: Readonly<Record<string, string>>;
  /** Scripts as a spec file has them: `post` to its text. */
  scripts?: Readonly<Record<string, string>>;
};

const library = (name: string, ...from: string[]): Recipe => ({
  name,
  from,
  summary: `shared libraries of ${name}`,
  requires: ['glibc'],
});

/**
 * What the mirror has. The names, and who needs whom, are openEuler 22.03-LTS's; the contents are Debian's. `{kernel}` is
 * Debian's kernel package for the architecture.
 */
export const RECIPES: readonly Recipe[] = [
  {
    name: 'openEuler-release',
    from: [],
    summary: 'openEuler release files',
    provides: ['system-release'],
    files: {
      'etc/os-release':
        'NAME="openEuler"\nVERSION="22.03 (LTS)"\nID="openEuler"\nVERSION_ID="22.03"\nPRETTY_NAME="openEuler 22.03 (LTS)"\n',
      'etc/openEuler-release': 'openEuler release 22.03 (LTS)\n',
    },
  },
  {
    name: 'filesystem',
    from: [],
    summary: 'the folders of a root file system',
    requires: ['setup'],
    links: { bin: 'usr/bin', sbin: 'usr/sbin', lib: 'usr/lib', lib64: 'usr/lib64', 'var/run': '../run' },
  },
  {
    name: 'setup',
    from: [],
    summary: 'accounts that every system has',
    requires: ['system-release'],
    files: {
      'etc/passwd': 'root:x:0:0:root:/root:/bin/bash\n',
      'etc/group': 'root:x:0:\ntty:x:5:\ndisk:x:6:\n',
      'etc/profile': 'PATH=/usr/sbin:/usr/bin\n',
    },
  },
  { name: 'basesystem', from: [], summary: 'the smallest set of packages', requires: ['setup', 'filesystem'] },
  {
    name: 'glibc',
    from: ['libc6'],
    summary: 'the C library',
    requires: ['glibc-common', 'basesystem'],
    scripts: { post: '-p <lua>\nos.remove("/etc/ld.so.cache")' },
  },
  { name: 'glibc-common', from: ['libc-bin'], summary: 'programs of the C library', requires: ['glibc', 'bash'] },
  library('libgcc', 'libgcc-s1'),
  library('libstdc++', 'libstdc++6'),
  {
    ...library('bash', 'bash'),
    summary: 'the shell',
    links: { 'usr/bin/sh': 'bash' },
    provides: ['/bin/sh', '/bin/bash'],
    requires: ['filesystem'],
  },
  { ...library('coreutils', 'coreutils'), summary: 'basic tools' },
  library('ncurses-libs', 'libtinfo6', 'libncursesw6'),
  library('libacl', 'libacl1'),
  library('libattr', 'libattr1'),
  library('gmp', 'libgmp10'),
  library('openssl-libs', 'libssl3t64', 'openssl-provider-legacy'),
  library('libselinux', 'libselinux1'),
  library('pcre2', 'libpcre2-8-0'),
  library('zstd', 'libzstd1'),
  library('zlib', 'zlib1g'),
  library('systemd-libs', 'libsystemd0', 'libudev1'),
  {
    name: 'systemd',
    from: ['systemd', 'libsystemd-shared'],
    summary: 'system and service manager',
    requires: ['systemd-libs', 'coreutils', 'bash', 'pam', 'util-linux', '/bin/sh'],
    recommends: ['systemd-help'],
    scripts: { post: 'systemd-machine-id-setup >/dev/null 2>&1 || :\nsystemctl daemon-reexec >/dev/null 2>&1 || :' },
  },
  {
    name: 'systemd-udev',
    from: ['udev'],
    summary: 'device manager',
    requires: ['systemd', 'kmod', '/bin/sh'],
    scripts: { post: 'udevadm hwdb --update >/dev/null 2>&1 || :' },
  },
  { ...library('kmod', 'kmod'), summary: 'tools for kernel modules', requires: ['kmod-libs'] },
  library('kmod-libs', 'libkmod2'),
  {
    ...library('util-linux', 'util-linux', 'mount', 'login'),
    summary: 'tools for disks and file systems',
    requires: ['libblkid', 'libmount', 'libsmartcols', 'libuuid', 'pam'],
  },
  library('libblkid', 'libblkid1'),
  library('libmount', 'libmount1'),
  library('libsmartcols', 'libsmartcols1'),
  library('libfdisk', 'libfdisk1'),
  library('libuuid', 'libuuid1'),
  { ...library('pam', 'libpam0g', 'libpam-modules', 'libpam-modules-bin'), requires: ['libxcrypt', 'audit-libs'] },
  library('audit-libs', 'libaudit1'),
  library('libcap-ng', 'libcap-ng0'),
  library('libxcrypt', 'libcrypt1'),
  library('libdb', 'libdb5.3t64'),
  library('popt', 'libpopt0'),
  library('readline', 'libreadline8t64'),
  library('sqlite-libs', 'libsqlite3-0'),
  library('wtmpdb-libs', 'libwtmpdb0'),
  library('tcp_wrappers-libs', 'libwrap0'),
  library('libedit', 'libedit2'),
  library('libbsd', 'libbsd0', 'libmd0'),
  library('libfido2', 'libfido2-1'),
  library('libcbor', 'libcbor0.10'),
  { ...library('openssh', 'openssh-common', 'openssh-client'), summary: 'what both halves of SSH need' },
  {
    ...library('openssh-server', 'openssh-server', 'openssh-sftp-server'),
    summary: 'SSH server',
    requires: ['openssh', 'pam', 'systemd'],
    moved: { 'usr/lib/openssh/sftp-server': 'usr/libexec/openssh/sftp-server' },
  },
  { ...library('gdisk', 'gdisk'), summary: 'GUID partition tables' },
  { ...library('efibootmgr', 'efibootmgr'), summary: 'UEFI boot entries' },
  { ...library('mdadm', 'mdadm'), summary: 'software RAID' },
  { ...library('dosfstools', 'dosfstools'), summary: 'FAT file systems' },
  { ...library('e2fsprogs', 'e2fsprogs', 'libext2fs2t64', 'libcom-err2', 'libss2'), summary: 'ext file systems' },
  library('efivar-libs', 'libefivar1t64', 'libefiboot1t64'),
  {
    ...library('busybox', 'busybox'),
    summary: 'many small tools in one program',
    moved: { 'usr/bin/busybox': 'usr/sbin/busybox' },
  },
  {
    name: 'kernel',
    from: ['{kernel}'],
    summary: 'the kernel and its modules',
    provides: ['kernel-core'],
    requires: ['kmod', 'coreutils', '/bin/sh'],
    scripts: { posttrans: 'kernel-install add 0 /boot/vmlinuz || :' },
  },
];
