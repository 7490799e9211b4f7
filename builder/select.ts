import { reasonOf } from '../system/failure.ts';
import type { Context } from './context.ts';
import { fetchPackages } from './debian/fetch.ts';
import { type DebianPackage, expiredSuites, resolvePackages } from './debian/resolve.ts';
import { builderFailure } from './failures.ts';
import { isKernelPackage } from './kernel/modules.ts';
import { lockedSelection } from './lock.ts';
import type { Selection, UnpackedPackage } from './packages.ts';
import { fetchRpms } from './rpm/fetch.ts';
import { selectRpms } from './rpm/select.ts';

/**
 * Lets the distribution's solver choose the packages of a plan, from signed lists; or takes those that are locked.
 * @throws Failure of `resolvePackages`
 */
export async function selectPackages(context: Context): Promise<Selection<DebianPackage>> {
  const { options, row, release, mirror, plan, lock } = context;
  if (lock !== undefined) return lockedSelection(lock, mirror);
  if (context.rpm !== undefined) return selectRpms(context, await context.rpm());
  const { host, progress, signal } = options;
  const question = { mirror, release: release.name, architecture: row.debian };
  progress.update({ phase: 'resolve packages', message: `${release.name} from ${mirror.main}` });
  const names = plan.packages.map((one) => one.name);
  const main = await resolvePackages(host, { ...question, packages: names, without: plan.without }, signal);
  const firmware = await resolvePackages(
    host,
    { ...question, packages: [], optional: plan.firmware.map((one) => one.name), without: plan.without },
    signal,
  );
  const expired = Map.groupBy(await expiredSuites(host, question), (one) => one.validUntil);
  for (const [validUntil, suites] of expired)
    progress.log(
      `the signed lists of ${suites.map((one) => one.suite).join(', ')} were valid until ${validUntil}; accepted, because ${release.acceptExpired ?? 'APT on this machine is told to'}`,
    );
  const absent = plan.firmware.filter((one) => !firmware.some((found) => found.name === one.name));
  if (absent.length > 0)
    progress.log(`the mirror has no ${absent.map((one) => one.name).join(', ')}: built without that firmware`);
  return { main, firmware };
}

/** Names the locked package that a mirror does not give. */
function explainGone(error: unknown, packages: readonly DebianPackage[]): unknown {
  if ((error as { code?: string }).code !== 'DOWNLOAD_FAILED') return error;
  const reason = reasonOf(error);
  const gone = packages.find((one) => reason.includes(one.url));
  if (gone === undefined) return error;
  return builderFailure('LOCKED_PACKAGE_GONE', `${gone.name} ${gone.version}: ${reason}`, { cause: error });
}

/** The same packages, fetched and unpacked in the cache; the kernel's are told from the others. */
export async function fetchSelection(
  {
    options: { host, progress, signal },
    lock,
    rpm,
  }: { options: Pick<Context['options'], 'host' | 'progress' | 'signal'> } & Partial<Pick<Context, 'lock' | 'rpm'>>,
  { main, firmware }: Selection<DebianPackage>,
): Promise<Selection<UnpackedPackage> & { kernel: UnpackedPackage[] }> {
  const all = [...main, ...firmware];
  const fetched = await (
    rpm === undefined
      ? fetchPackages(host, all, progress, signal)
      : rpm().then((shop) => fetchRpms(shop, all, progress))
  ).catch((error: unknown) => {
    signal.throwIfAborted();
    throw lock === undefined ? error : explainGone(error, all);
  });
  const unpacked = fetched.slice(0, main.length);
  return {
    main: unpacked,
    firmware: fetched.slice(main.length),
    kernel: unpacked.filter(isKernelPackage),
  };
}
