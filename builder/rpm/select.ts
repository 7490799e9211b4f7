import type { Context } from '../context.ts';
import { findMirror } from '../debian/mirror.ts';
import { type DebianPackage, resolvePackages } from '../debian/resolve.ts';
import { builderFailure } from '../failures.ts';
import { resolveRpms } from './resolve.ts';
import type { RpmWorkshop } from './workshop.ts';

/** Packages of Debian that go in beside those of the base: Node, where npm has none for the architecture. */
async function packagesFromDebian({ options, row, plan }: Context): Promise<DebianPackage[]> {
  if (plan.fromDebian === undefined) return [];
  const { packages, release, without } = plan.fromDebian;
  const question = { mirror: await findMirror([]), release, architecture: row.debian };
  const names = packages.map((one) => one.name);
  return resolvePackages(options.host, { ...question, packages: names, without }, options.signal);
}

/**
 * Lets DNF choose the packages of a plan. Packages of Debian that go in as well are told by their file names.
 * @throws Failure of `resolveRpms`
 */
export async function selectRpms(
  context: Context,
  { tools, keys }: RpmWorkshop,
): Promise<{ main: DebianPackage[]; firmware: DebianPackage[] }> {
  const { options, row, release, mirror, plan } = context;
  const firmware = plan.firmware.map((one) => one.name);
  options.progress.update({ phase: 'resolve packages', message: `${release.name} from ${mirror.main}` });
  const answer = await resolveRpms(tools, {
    base: release,
    row,
    mirror: mirror.main,
    keys,
    packages: plan.packages.map((one) => one.name),
    optional: firmware,
    without: plan.without,
  });
  if (release.rpm?.acceptSha1 !== undefined)
    options.progress.log(`signatures over SHA-1 count for ${release.title}, because ${release.rpm.acceptSha1}`);
  for (const { id, ifAbsent } of answer.absentRepositories)
    options.progress.log(`${release.title} has no ${id} for ${row.name}: ${ifAbsent ?? ''}`);
  if (answer.absent.length > 0)
    options.progress.log(`the mirror has no ${answer.absent.join(', ')}: built without that firmware`);
  const strange = answer.packages.find((one) => !one.url.endsWith('.rpm'));
  if (strange !== undefined) throw builderFailure('CANNOT_RESOLVE', `${strange.url} is no RPM package`);
  return {
    main: [...answer.packages.filter((one) => !firmware.includes(one.name)), ...(await packagesFromDebian(context))],
    firmware: answer.packages.filter((one) => firmware.includes(one.name)),
  };
}
