import type { Element } from '../../builder/element/element.ts';

/** Tools that busybox has and nothing better brings, by folder; the names are those of the programs that they stand for. */
const BUSYBOX = {
  bin: `
    ash awk basename bunzip2 cat chmod chown clear cmp cp cut date dd df diff dirname dmesg du echo env expr false find
    free grep groups gunzip gzip head hexdump hostname id install kill killall last less ln logger ls md5sum
    mkdir mkfifo mknod mktemp more mv nc nproc nslookup od paste pidof ping printf ps pwd readlink realpath
    reset rm rmdir sed seq setsid sh sha256sum sha512sum sleep sort stat strings stty sync tail tar tee test
    time timeout top touch tr traceroute true truncate tty uname uniq unxz unzip uptime usleep vi watch wc wget
    which who xargs xzcat yes zcat [`,
  sbin: `
    arp arping brctl chroot getty halt hwclock ifconfig init ip loadkmap mkswap nameif partprobe pivot_root poweroff
    reboot route swapoff swapon switch_root sysctl udhcpc udhcpc6 vconfig watchdog`,
};
const words = (text: string) => text.trim().split(/\s+/);

export const element: Element = {
  name: 'base',
  summary: 'The C library, a shell with its tools, and what every ramdisk leaves out',
  packages: [
    {
      name: 'libc6',
      reason: 'everything else needs it',
      only: ['usr/lib64/**', 'usr/lib/ld-*', 'usr/lib/*/ld-*', 'usr/lib/*/lib*.so*'],
      rpm: { name: 'glibc', only: ['usr/lib{,64}/ld-*', 'usr/lib64/lib*.so*'] },
    },
    { name: 'libgcc-s1', reason: 'Node and C++ programs unwind with it', rpm: { name: 'libgcc' } },
    { name: 'libstdc++6', reason: 'Node and sgdisk are C++', rpm: { name: 'libstdc++' } },
    {
      name: 'busybox',
      reason: 'shell, init, DHCP client and small tools in one program',
      only: ['usr/bin/busybox'],
      rpm: { only: ['usr/sbin/busybox'] },
    },
  ],
  without: {
    debconf: 'asks questions at installation; nothing is installed here',
    'gcc-14-base': 'documentation only',
    'gcc-16-base': 'documentation only',
    'libc-gconv-modules-extra': 'nothing converts character sets with iconv',
    'libc-bin': 'tools for installation; the loader needs no cache in a tree this small',
    'perl-base': 'used by maintainer scripts only',
    adduser: 'accounts are declared in elements',
    'base-passwd': 'accounts are declared in elements',
    passwd: 'accounts are declared in elements',
    'init-system-helpers': 'used by maintainer scripts only',
    'lsb-base': 'for init scripts of installed systems',
    'runit-helper': 'for another init',
    'sensible-utils': 'choose editors and browsers',
    'sysvinit-utils': 'for another init',
    'readline-common': 'settings of the keyboard for line editing',
    ucf: 'keeps changed configuration files at upgrades',
    'libpam-modules': 'nobody logs in',
    'libpam-runtime': 'nobody logs in',
  },
  scripts: {
    libc6: 'looks after an older libc, its cache and services that run; /usr/lib64 and the link to it are in this tree',
    libpam0g: 'starts services again that use an older version',
    libselinux1: 'deletes what an older version had compiled',
    libwrap0: 'writes /etc/hosts.allow and hosts.deny with nothing but comments',
  },
  prune: {
    'usr/share/doc/**': 'nobody reads documentation in a ramdisk; sources and licences are named in the manifest',
    'usr/share/man/**': 'documentation',
    'usr/share/info/**': 'documentation',
    'usr/share/locale/**': 'all output is in English',
    'usr/share/lintian/**': 'for package checks',
    'usr/share/bug/**': 'for bug reports',
    'usr/share/bash-completion/**': 'no interactive bash',
    'usr/share/zsh/**': 'no zsh',
    'usr/share/apport/**': 'for bug reports',
    'usr/share/gdb/**': 'no debugger',
    'usr/share/initramfs-tools/**': 'for another builder of ramdisks',
    'usr/share/gcc/**': 'for debuggers',
    'usr/lib/*/gconv/**': 'nothing converts character sets with iconv',
    'usr/lib/*/libmemusage.so': 'for profiling',
    'usr/lib/*/libpcprofile.so': 'for profiling',
    'usr/lib/*/libc_malloc_debug.so*': 'for debugging',
    'usr/lib/*/libnss_{compat,hesiod}.so*': 'name services that are not configured',
    'usr/lib/*/libthread_db.so*': 'for debuggers',
  },
  ifNeeded: {
    'usr/lib/*/libmvec.so*': 'mathematics on vectors; only numeric programs link it',
    'usr/lib/*/lib{nsl,BrokenLocale}.so*': 'for programs of the last century',
  },
  rpm: {
    links: { 'usr/bin/busybox': '../sbin/busybox' },
    without: {
      basesystem: 'stands for others',
      bash: 'busybox is the shell',
      coreutils: 'busybox has small ones',
      filesystem: 'folders come with what is in them',
      'glibc-common': 'tools for installation',
      pam: 'nobody logs in',
      setup: 'accounts are declared in elements',
    },
    scripts: { glibc: 'looks after an older libc, its cache and services that run' },
    prune: {
      'usr/lib/.build-id/**': 'for debuggers',
      'usr/share/licenses/**': 'licences are named in the manifest',
      'etc/ld.so.conf.d/**': 'the loader needs no cache in a tree this small',
    },
  },
  links: {
    init: 'usr/bin/busybox',
    ...Object.fromEntries(words(BUSYBOX.bin).map((name) => [`usr/bin/${name}`, 'busybox'])),
    ...Object.fromEntries(words(BUSYBOX.sbin).map((name) => [`usr/sbin/${name}`, '../bin/busybox'])),
  },
  folders: {
    dev: 0o755,
    proc: 0o555,
    sys: 0o555,
    run: 0o755,
    root: 0o700,
    mnt: 0o755,
    tmp: 0o1777,
    'var/lib': 0o755,
    'var/log': 0o755,
    'var/tmp': 0o1777,
  },
  users: [
    { name: 'root', id: 0, home: '/root', shell: '/bin/sh' },
    { name: 'nobody', id: 65534, home: '/nonexistent', shell: '/bin/false' },
  ],
  groups: [
    { name: 'root', id: 0 },
    { name: 'nogroup', id: 65534 },
  ],
};
