import type { Progress } from '../../cli/progress.ts';
import { fetchPackages } from '../debian/fetch.ts';
import { downloadAll, inParallel } from '../host/download.ts';
import type { ResolvedPackage, UnpackedPackage } from '../packages.ts';
import { unpackRpm } from './unpack.ts';
import type { RpmWorkshop } from './workshop.ts';

/**
 * Brings packages into the cache, checks their signatures and unpacks them there. Those that are Debian's are checked as Debian's are.
 * @throws Failure `BAD_SIGNATURE`, `CANNOT_UNPACK`, and those of `downloadAll`
 */
export async function fetchRpms(
  { tools, keys }: RpmWorkshop,
  packages: readonly ResolvedPackage[],
  progress: Progress,
): Promise<UnpackedPackage[]> {
  const { host, signal } = tools;
  const rpms = packages.filter((one) => one.url.endsWith('.rpm'));
  const total = rpms.reduce((sum, one) => sum + one.sizeBytes, 0);
  const files = await downloadAll(host, rpms, {
    signal,
    onBytes: (done) => progress.update({ phase: 'fetch packages', done, total, unit: 'bytes' }),
  });
  let done = 0;
  const unpacked = await inParallel([...rpms.entries()], 2, signal, async ([index, one], stop) => {
    const found = await unpackRpm({ ...tools, signal: stop }, keys, files[index] ?? '', one);
    done += one.sizeBytes;
    progress.update({ phase: 'check signatures and unpack', done, total, unit: 'bytes', message: one.name });
    return { ...one, ...found };
  });
  const foreign = await fetchPackages(
    host,
    packages.filter((one) => !rpms.includes(one)),
    progress,
    signal,
  );
  const bySha = new Map([...unpacked, ...foreign].map((one) => [one.sha256, one]));
  return packages.flatMap((one) => bySha.get(one.sha256) ?? []);
}
