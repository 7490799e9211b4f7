import { findMirror, type Mirror } from '../../builder/debian/mirror.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import type { Progress } from '../../cli/progress.ts';
import type { Failure } from '../../system/failure.ts';

export type RootArchiveOptions = {
  host: BuilderHost;
  release: string;
  packages: readonly string[];
  /** Not installed from the packages: nobody reads documentation in a test machine. */
  excluded: readonly string[];
  /** mmdebstrap's words for what is done to the tree, such as `--customize-hook=…`. */
  hooks: readonly string[];
  /** As `--mirror`; APT's own sources unless said. */
  mirror: readonly string[];
  progress: Progress;
  signal: AbortSignal;
  /** The failure to throw, of what mmdebstrap complains about. */
  fail: (complaints: string, cause: unknown) => Failure;
};

/** What mmdebstrap says of itself may hold a whole script. */
const LONGEST_STEP = 60;

function sources(mirror: Mirror, release: string): string[] {
  const security = mirror.security === undefined ? [] : [`deb ${mirror.security} ${release}-security main`];
  return [`deb ${mirror.main} ${release} main`, ...security];
}

/** A text as one word of a shell's line. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** mmdebstrap makes a root tree of Debian packages (in a user namespace when we are not root) and leaves it as one archive. */
export async function makeRootArchive(target: string, options: RootArchiveOptions): Promise<void> {
  const { host, release, signal, progress } = options;
  const mirror = await findMirror(options.mirror);
  const args = [
    ['--mode=auto', '--variant=minbase', '--format=tar', '--aptopt=APT::Install-Recommends "false"'],
    // A mirror that is behind has lists past their date; the signature is what we rely on.
    ['--aptopt=Acquire::Check-Valid-Until "false"', `--include=${options.packages.join(',')}`],
    options.excluded.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
    options.hooks,
    [release, target, ...sources(mirror, release)],
  ].flat();
  let step = 'start';
  const complaints: string[] = [];
  const onLine = (line: string) => {
    if (line.startsWith('I: ')) step = line.slice(3);
    if (line.startsWith('E: ')) complaints.push(line.slice(3));
    progress.update({ phase: 'install packages', message: step.slice(0, LONGEST_STEP) });
  };
  try {
    await host.run('mmdebstrap', args, { signal, onLine });
  } catch (error) {
    signal.throwIfAborted();
    // Its command line is two screens long; what it complains about is one line.
    if (complaints.length === 0) throw error;
    throw options.fail(complaints.join('; '), error);
  }
}
