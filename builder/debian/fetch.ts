import type { Progress } from '../../cli/progress.ts';
import type { BuilderHost } from '../host/door.ts';
import { downloadAll, inParallel } from '../host/download.ts';
import type { UnpackedPackage } from '../packages.ts';
import type { DebianPackage } from './resolve.ts';
import { debScripts, unpackDeb } from './unpack.ts';

/** Brings packages into the cache and unpacks them there, with progress in bytes. */
export async function fetchPackages(
  host: BuilderHost,
  packages: readonly DebianPackage[],
  progress: Progress,
  signal: AbortSignal,
): Promise<UnpackedPackage[]> {
  const total = packages.reduce((sum, one) => sum + one.sizeBytes, 0);
  const debs = await downloadAll(host, packages, {
    signal,
    onBytes: (done) => progress.update({ phase: 'fetch packages', done, total, unit: 'bytes' }),
  });
  let done = 0;
  return inParallel([...packages.entries()], 2, signal, async ([index, one], stop) => {
    const entries = await unpackDeb(host, debs[index] ?? '', one.sha256, stop);
    const scripts = await debScripts(host, debs[index] ?? '', one.sha256, stop);
    done += one.sizeBytes;
    progress.update({ phase: 'unpack packages', done, total, unit: 'bytes', message: one.name });
    return { ...one, entries, scripts };
  });
}
