/** One Debian release that a ramdisk can be made of. */
export type Release = {
  /** Its codename, as in the archive. */
  name: string;
  /** Other names that `--release` takes. */
  aliases: readonly string[];
  /**
   * Why lists past their Valid-Until date are accepted for this release; without it they are refused. Signatures are checked
   * all the same: what this gives up is the protection against a mirror that hides newer packages.
   */
  acceptExpired?: string;
};

const RELEASES: readonly Release[] = [
  { name: 'trixie', aliases: ['13', 'debian-13'] },
  {
    name: 'forky',
    aliases: ['14', 'debian-14'],
    acceptExpired:
      'it is a testing release, valid for a week at a time, and mirrors that keep a fixed state of it fall behind',
  },
];

export const RELEASE_NAMES: readonly string[] = RELEASES.map((row) => row.name);

/** A release that is given by any of its names. */
export function findRelease(name: string): Release | undefined {
  const wanted = name.toLowerCase();
  return RELEASES.find((row) => row.name === wanted || row.aliases.includes(wanted));
}
