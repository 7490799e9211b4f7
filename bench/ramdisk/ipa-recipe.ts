/**
 * The peer: a ramdisk with the real ironic-python-agent, Debian's package. Everything that decides what is in it; its digest names
 * it in the cache.
 *
 * The package's declared dependencies would draw in libguestfs, git, stress-ng and others (1.1 GB). Here it is what the agent
 * imports and the tools that ironic-python-agent-builder's Debian ramdisk installs. In doubt the peer is given the better of two: no
 * compiler, no glean, no SSH server (which that ramdisk has), byte-code kept (which it throws away, so that Python compiles at each
 * start), no waiting for a time server.
 */
export type IpaRecipe = {
  format: number;
  release: string;
  packages: readonly string[];
  /** Not unpacked from the packages. */
  excluded: readonly string[];
  /** Not taken from the finished tree into the initramfs. */
  pruned: readonly string[];
  files: readonly { path: string; text: string; mode?: number }[];
  /** Shell script, run in the tree when the packages are configured. */
  finish: string;
  /** zstd's level: that of Ingot's own ramdisks, so that the sizes differ by what is in them. */
  zstdLevel: number;
};

/** What `import ironic_python_agent` and its hardware manager need. */
const PYTHON = [
  'python3',
  'python3-cryptography',
  'python3-eventlet',
  'python3-oslo.concurrency',
  'python3-oslo.config',
  'python3-oslo.log',
  'python3-oslo.service',
  'python3-oslo.utils',
  'python3-pbr',
  'python3-pint',
  'python3-psutil',
  'python3-pyudev',
  'python3-requests',
  'python3-stevedore',
  'python3-tenacity',
  'python3-tooz',
  'python3-werkzeug',
  'python3-zeroconf',
];

/** Tools of ironic-python-agent-builder's element for Debian. */
const TOOLS = [
  'bsdextrautils',
  'chrony',
  'curl',
  'dmidecode',
  'dosfstools',
  'e2fsprogs',
  'efibootmgr',
  'efivar',
  'firmware-linux-free',
  'gdisk',
  'genisoimage',
  'hdparm',
  'ipmitool',
  'iptables',
  'kmod',
  'lshw',
  'mdadm',
  'nvme-cli',
  'open-iscsi',
  'parted',
  'psmisc',
  'qemu-utils',
  'smartmontools',
];

const SYSTEM = ['ca-certificates', 'dbus', 'iproute2', 'systemd', 'systemd-sysv', 'udev', 'zstd'];

/** As that builder's unit, and its log on the console, too, so that a bench can read when it did what. */
const UNIT = `[Unit]
Description=Ironic Python Agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStartPre=/sbin/modprobe vfat
ExecStart=/usr/bin/ironic-python-agent --config-dir /etc/ironic-python-agent.d/
Restart=always
RestartSec=30s
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
`;

/** Units that keep a start waiting for what is not there, or that nobody needs in a machine that lives for minutes. */
const MASKED = [
  'chrony-wait.service',
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
];

const FINISH = `set -eu
export DEBIAN_FRONTEND=noninteractive
cd /tmp
apt-get download ironic-python-agent
dpkg --force-depends --force-confold --install ironic-python-agent_*.deb
rm ironic-python-agent_*.deb
systemctl enable systemd-networkd.service ironic-python-agent.service
systemctl mask ${MASKED.join(' ')}
ln -s usr/lib/systemd/systemd /init
# Otherwise the first boot spends seconds on updating what is up to date.
touch -d '+1 day' /etc/.updated /var/.updated
`;

const FILES = [
  { path: 'etc/fstab', text: '' },
  { path: 'etc/hostname', text: 'ipa\n' },
  { path: 'etc/machine-id', text: '' },
  { path: 'etc/systemd/system/ironic-python-agent.service', text: UNIT },
  { path: 'etc/systemd/network/99-dhcp.network', text: '[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n' },
];

/** @param kernelPackage Debian's, for the machine's architecture */
export const ipaRecipe = (kernelPackage: string): IpaRecipe => ({
  format: 1,
  release: 'trixie',
  packages: [...PYTHON, ...TOOLS, ...SYSTEM, kernelPackage].toSorted(),
  excluded: ['doc', 'man', 'info', 'locale', 'GeoIP'].map((name) => `/usr/share/${name}/*`),
  pruned: [
    'boot/*',
    'usr/include/*',
    'usr/lib/locale/*',
    'usr/share/misc/m*',
    'var/cache/*',
    'var/log/*',
    'var/lib/apt/*',
  ],
  files: FILES,
  finish: FINISH,
  zstdLevel: 19,
});
