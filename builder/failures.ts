import { defineFailures } from '../system/failure.ts';

export const builderFailure = defineFailures({
  UNKNOWN_ARCH: { message: (detail) => `cannot build for ${detail}`, exitCode: 2 },
  UNKNOWN_RELEASE: { message: (detail) => `cannot build from release ${detail}`, exitCode: 2 },
  NO_MIRROR: {
    message: (detail) => `cannot find a mirror: ${detail}`,
    hint: 'name one with --mirror URL',
  },
  NO_KEYRING: {
    message: (detail) => `cannot verify Debian's package lists: ${detail}`,
    hint: 'apt-get install debian-archive-keyring',
  },
  MISSING_PROGRAM: { message: (detail) => `cannot run ${detail}: it is not installed` },
  MIRROR_UNREACHABLE: {
    message: (detail) => `cannot read the package lists of ${detail}`,
    hint: 'check that the mirror can be reached from here, or name another with --mirror URL',
  },
  BAD_SIGNATURE: {
    message: (detail) => `cannot trust ${detail}`,
    hint: 'use a mirror that is signed by the Debian archive key; if this one is, update the package debian-archive-keyring',
  },
  NO_KEY: {
    message: (detail) => `cannot use the key ${detail}`,
    hint: 'name a file with an armoured OpenPGP public key with --key FILE',
  },
  CANNOT_RESOLVE: {
    message: (detail) => `cannot choose packages: ${detail}`,
    hint: 'check the spelling of the package, and that the mirror carries this release',
  },
  NOTHING_TO_EXPLAIN: {
    message: (detail) => `cannot explain ${detail}`,
    hint: 'name what a build with this version of build-ramdisk has made, such as ingot-x86_64',
  },
  NO_LOCK: {
    message: (detail) => `cannot use as a lock ${detail}`,
    hint: 'build once without --locked: NAME.manifest.json is the lock of that build',
  },
  LOCK_MISMATCH: {
    message: (detail) => `cannot build what ${detail}`,
    hint: 'build without --locked to lock what there is now',
  },
  LOCKED_PACKAGE_GONE: {
    message: (detail) => `cannot get a package that is locked: ${detail}`,
    hint: 'use a mirror that keeps old packages, or build without --locked to lock newer ones',
  },
  CANNOT_UNPACK: {
    message: (detail) => `cannot unpack ${detail}`,
    hint: 'remove the file from the cache and build again; if it fails again, the disk or the mirror is bad',
  },
  CONFLICTING_FILES: { message: (detail) => `cannot put two different things at ${detail}` },
  ELEMENT_INVALID: { message: (detail) => `cannot use element ${detail}` },
  SCRIPT_NOT_COVERED: {
    message: (detail) => `cannot leave out what these packages' scripts do: ${detail}`,
    hint: 'do it in an element (users, links, folders, texts), and name the package in its scripts with the reason',
  },
  CHECK_FAILED: {
    message: (detail) => `cannot use the finished tree: ${detail}`,
    hint: 'the elements named here say so themselves, in their checks',
  },
  AGENT_MISSING: {
    message: (detail) => `cannot bundle the agent: ${detail}`,
    hint: 'run it from a complete checkout, after npm ci',
  },
  CANNOT_PACK: { message: (detail) => `cannot pack the ramdisk: ${detail}` },
  TOO_LARGE: {
    message: (detail) => `cannot keep to --max-size: ${detail}`,
    hint: 'leave elements out, or prune what they bring; build-ramdisk explain says where the bytes go',
  },
  NOTHING_TO_BOOT: {
    message: (detail) => `cannot boot ${detail}`,
    hint: 'build it first, or name the results of a build without their endings: build-ramdisk boot out/ingot',
  },
  OUTPUT_UNWRITABLE: {
    message: (detail) => `cannot write ${detail}`,
    hint: 'name another place with --output NAME',
  },
});
