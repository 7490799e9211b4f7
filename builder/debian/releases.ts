/** Debian releases that a ramdisk can be made of, with the names that `--release` takes. */
const RELEASES = [{ name: 'trixie', aliases: ['13', 'debian-13'] }];

export const RELEASE_NAMES: readonly string[] = RELEASES.map((row) => row.name);

/** The codename of a release that is given by any of its names. */
export function findRelease(name: string): string | undefined {
  const wanted = name.toLowerCase();
  return RELEASES.find((row) => row.name === wanted || row.aliases.includes(wanted))?.name;
}
