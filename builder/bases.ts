import type { Architecture } from '../arch/table.ts';
import { nearest } from '../cli/nearest.ts';
import { builderFailure } from './failures.ts';

/** How a distribution packs software, which decides who resolves and unpacks it. */
export type Family = 'debian' | 'rpm';

/** One folder of packages on the mirror of an RPM distribution. */
export type Repository = {
  id: string;
  /** Below the mirror; `{arch}` stands for RPM's name of the architecture. */
  path: string;
  /** What it means when the mirror does not have it; without this, the build cannot go on. */
  ifAbsent?: string;
};

/** One release that a ramdisk can be made of. */
export type Base = {
  /** What `--release` and the manifest call it. */
  name: string;
  distribution: 'debian' | 'openeuler' | 'centos';
  family: Family;
  /** For people. */
  title: string;
  /** Other names that `--release` takes, in lower case. */
  aliases: readonly string[];
  /** Names of the architectures that it has, as `uname -m` says them. */
  architectures: readonly string[];
  /**
   * Why lists past their Valid-Until date are accepted for this release; without it they are refused. Signatures are checked
   * all the same: what this gives up is the protection against a mirror that hides newer packages.
   */
  acceptExpired?: string;
  /** Of an RPM distribution: where its packages are, and what they are signed with. */
  rpm?: {
    /** The distribution's own mirror. */
    mirror: string;
    repositories: readonly Repository[];
    /** Keys that its packages are signed with: files below this folder's rpm/keys, or of Debian's distribution-gpg-keys. */
    keys: readonly ({ own: string } | { debian: string })[];
    /**
     * Why signatures over SHA-1 count for this release; without it they do not. What this gives up: whoever makes the packages could
     * make two with one signature. A package that somebody else made still has none.
     */
    acceptSha1?: string;
    /** Packages that elements name and this distribution does not have: Debian's statically linked ones that stand in for them. */
    fromDebian?: Readonly<Record<string, string>>;
  };
};

const PC = ['x86_64', 'aarch64'];
const ALL = [...PC, 'loongarch64'];

/** All ways in which people write an openEuler release: 22.03-LTS, 2203, 22.03LTS-SP1, openEuler-22.03-LTS_SP1 … */
function openEulerAliases(version: string, pack: string): string[] {
  const short = version.replace('.', '');
  const heads = [short, version].flatMap((one) => [one, `${one}lts`, `${one}-lts`, `${one}_lts`]);
  const names = pack === '' ? heads : heads.flatMap((head) => ['-', '_', ''].map((dash) => `${head}${dash}${pack}`));
  const usual = `${version}-lts${pack && `-${pack}`}`;
  return names.flatMap((one) => [one, `openeuler-${one}`]).filter((one) => one !== usual);
}

/** What openEuler's releases are signed with; builder/rpm/keys/README.md says where the keys come from. */
const OPENEULER_KEYS = {
  '22.03': {
    keys: [{ own: 'openeuler-obs.asc' }, { own: 'openeuler-eulermaker.asc' }],
    acceptSha1: 'it was signed so, and will not be signed again',
  },
  '24.03': { keys: [{ own: 'openeuler-eulermaker.asc' }] },
} satisfies Record<string, Pick<NonNullable<Base['rpm']>, 'keys' | 'acceptSha1'>>;

/** @param pack a service pack such as `SP1`, or '' for the release itself */
function openEuler(version: keyof typeof OPENEULER_KEYS, pack: string, architectures: readonly string[]): Base {
  const signedBy = OPENEULER_KEYS[version];
  const name = `${version}-LTS${pack && `-${pack}`}`;
  const folder = `openEuler-${name}`;
  return {
    name,
    distribution: 'openeuler',
    family: 'rpm',
    title: `openEuler ${name}`,
    aliases: openEulerAliases(version, pack.toLowerCase()),
    architectures,
    rpm: {
      mirror: 'https://repo.openeuler.org',
      repositories: [
        { id: 'OS', path: `${folder}/OS/{arch}/`, ifAbsent: 'its packages have to be in everything' },
        { id: 'everything', path: `${folder}/everything/{arch}/`, ifAbsent: 'only the packages of OS can be used' },
        {
          id: 'update',
          path: `${folder}/update/{arch}/`,
          ifAbsent: 'no security updates are published for it, and the packages stay as they were released',
        },
      ],
      ...signedBy,
    },
  };
}

function centos(version: string, key: string): Base {
  return {
    name: `${version}-stream`,
    distribution: 'centos',
    family: 'rpm',
    title: `CentOS Stream ${version}`,
    aliases: [
      version,
      `stream${version}`,
      `stream-${version}`,
      `centos-${version}`,
      `centos-${version}-stream`,
      `centos-stream-${version}`,
    ],
    architectures: PC,
    rpm: {
      mirror: 'https://mirror.stream.centos.org',
      repositories: ['BaseOS', 'AppStream', 'CRB'].map((id) => ({ id, path: `${version}-stream/${id}/{arch}/os/` })),
      keys: [{ debian: key }],
      fromDebian: { busybox: 'busybox-static' },
    },
  };
}

/** For each distribution, the first that has an architecture is the one to take unless a release is named. */
const BASES: readonly Base[] = [
  {
    name: 'trixie',
    distribution: 'debian',
    family: 'debian',
    title: 'Debian 13 (trixie)',
    aliases: ['13', 'debian-13', 'debian-trixie'],
    architectures: PC,
  },
  {
    name: 'forky',
    distribution: 'debian',
    family: 'debian',
    title: 'Debian 14 (forky)',
    aliases: ['14', 'debian-14', 'debian-forky'],
    architectures: ALL,
    acceptExpired:
      'it is a testing release, valid for a week at a time, and mirrors that keep a fixed state of it fall behind',
  },
  openEuler('22.03', '', ALL),
  ...['SP1', 'SP2', 'SP3', 'SP4'].map((pack) => openEuler('22.03', pack, PC)),
  openEuler('24.03', '', ALL),
  ...['SP1', 'SP2', 'SP3', 'SP4'].map((pack) => openEuler('24.03', pack, ALL)),
  centos('9', 'centos/RPM-GPG-KEY-CentOS-Official'),
  centos('10', 'centos/RPM-GPG-KEY-CentOS-Official-SHA256'),
];

/** The bases of a distribution, or of all of them, that have an architecture. */
export function basesFor(row: Pick<Architecture, 'name'>, distribution?: string): Base[] {
  return BASES.filter(
    (base) =>
      base.architectures.includes(row.name) && (distribution === undefined || base.distribution === distribution),
  );
}

/** A release that is given by any of its names; undefined when there is none. */
export function findBase(name: string): Base | undefined {
  const wanted = name.trim().toLowerCase();
  return BASES.find((base) => base.name.toLowerCase() === wanted || base.aliases.includes(wanted));
}

/**
 * The base that a build is made of.
 * @param wanted `--release`; unless said, the first of the distribution that has the architecture
 * @param distribution one that the release has to be of
 * @throws Failure `UNKNOWN_RELEASE` that lists what there is for the architecture
 */
export function chooseBase(row: Pick<Architecture, 'name'>, wanted?: string, distribution?: string): Base {
  const possible = basesFor(row, distribution);
  const base = wanted === undefined ? possible[0] : findBase(wanted);
  if (base !== undefined && possible.includes(base)) return base;
  const isOther = distribution !== undefined && wanted !== undefined && base?.distribution !== distribution;
  const of = isOther ? ` of ${distribution}` : '';
  const names = possible.flatMap((one) => [one.name, ...one.aliases]);
  const near = wanted === undefined ? undefined : findBase(nearest(wanted, names) ?? '');
  const list = (possible.length > 0 ? possible : basesFor(row)).map((one) => one.name).join(', ');
  throw builderFailure('UNKNOWN_RELEASE', `${wanted ?? distribution ?? ''}${of} for ${row.name}`, {
    hint: near === undefined ? `use one of ${list}` : `did you mean ${near.name}? There are ${list}`,
  });
}
