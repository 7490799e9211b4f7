import { AgentError } from '../api/errors.ts';
import { type Block } from '../hardware/lsblk.ts';
import type { AgentOs } from '../os/door.ts';
import { type BootLoader, EFI_NAME, findBootLoaders } from './boot-loaders.ts';
import { withMount } from './mounted.ts';
import { listPartitions } from './partitions.ts';

const ESP_TYPES = new Set(['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef']);
/** An EFI system partition has a few directories in one another; this is against loops. */
const MOST_DEPTH = 6;

/** `Boot0003* label<tab>device path` lines of `efibootmgr -v`. */
export function parseBootEntries(output: string): { number: string; label: string }[] {
  return output.split('\n').flatMap((line) => {
    const match = /^Boot([0-9A-F]{4})\*?\s([^\t]*)/i.exec(line);
    return match ? [{ number: match[1] ?? '', label: (match[2] ?? '').trim() }] : [];
  });
}

/** @param wantedUuid of the file system or the partition, when the conductor knows it */
export function findEsp(partitions: readonly Block[], wantedUuid: string | null | undefined): Block | undefined {
  const wanted = wantedUuid?.toLowerCase();
  return (
    partitions.find(({ parttype }) => parttype !== null && ESP_TYPES.has(parttype.toLowerCase())) ??
    partitions.find(
      ({ uuid, partuuid }) => wanted !== undefined && [uuid, partuuid].some((own) => own?.toLowerCase() === wanted),
    )
  );
}

async function listFiles(os: AgentOs, directory: string, prefix: string, depth: number): Promise<string[]> {
  if (depth === 0) return [];
  const found: string[] = [];
  for (const name of await os.files.list(directory)) {
    const path = prefix === '' ? name : `${prefix}/${name}`;
    const isDirectory = !/\.(?:efi|csv|cfg|mui|ttf|pf2)$/i.test(name);
    if (isDirectory) found.push(...(await listFiles(os, `${directory}/${name}`, path, depth - 1)));
    else found.push(path);
  }
  return found;
}

async function readLoaders(os: AgentOs, device: string): Promise<BootLoader[]> {
  return withMount(os, ['-t', 'vfat', '-o', 'ro', device], 'esp', async (folder) => {
    const paths = await listFiles(os, folder, '', MOST_DEPTH);
    return findBootLoaders(paths, (path) => os.files.readBytes(`${folder}/${path}`), EFI_NAME);
  });
}

async function partitionNumber(os: AgentOs, kname: string): Promise<string> {
  const number = (await os.files.read(`/sys/class/block/${kname}/partition`))?.trim();
  if (number === undefined || !/^\d+$/.test(number))
    throw new AgentError('CommandExecutionError', `cannot make a boot entry: /dev/${kname} has no partition number`);
  return number;
}

/** Entries of an earlier deployment with the same label go, or a machine that is deployed often runs out of them. */
async function replaceEntry(os: AgentOs, disk: string, number: string, label: string, path: string): Promise<void> {
  const { stdout } = await os.run('efibootmgr', ['-v']);
  for (const entry of parseBootEntries(stdout).filter((one) => one.label === label))
    await os.run('efibootmgr', ['-b', entry.number, '-B']);
  await os.run('efibootmgr', ['-v', '-c', '-d', disk, '-p', number, '-w', '-L', label, '-l', path]);
}

/** An EFI system partition as firmware names it. `suffix` tells apart entries for the same loader on several disks. */
export type BootPlace = { disk: string; number: string; suffix: string };

/**
 * Makes UEFI boot entries for the boot loaders on a FAT file system, one for each place where firmware finds it; the first loader and
 * the first place are tried first.
 * @param device of the file system, which is mounted for reading
 * @returns the entries that were made, in that order; none when there is no loader that we know
 */
export async function makeEntries(
  os: AgentOs,
  device: string,
  places: readonly BootPlace[],
): Promise<{ label: string; path: string }[]> {
  const loaders = await readLoaders(os, device);
  const wanted = loaders.flatMap(({ label, path }, index) =>
    places.map((place) => ({ ...place, label: `${label ?? `ironic${index + 1}`}${place.suffix}`, path })),
  );
  // Each new entry comes before those that are there.
  for (const { disk, number, label, path } of wanted.toReversed()) await replaceEntry(os, disk, number, label, path);
  return wanted.map(({ label, path }) => ({ label, path }));
}

/**
 * Makes UEFI boot entries for the boot loaders on a disk's EFI system partition (agent-protocol I.8, steps 1 to 3).
 * @param wantedUuid of the EFI system partition, when the conductor knows it
 * @returns the entries that were made; none when the partition holds no loader that we know
 * @throws AgentError `DeviceNotFound` without an EFI system partition, Failure when a program fails
 */
export async function makeBootEntries(
  os: AgentOs,
  disk: string,
  wantedUuid: string | null | undefined,
): Promise<{ label: string; path: string }[]> {
  const partitions = await listPartitions(os, disk);
  const esp = findEsp(partitions, wantedUuid);
  if (!esp)
    throw new AgentError(
      'DeviceNotFound',
      `No EFI partition could be detected on ${disk}; cannot make a boot entry. Its partitions: ${partitions.map(({ kname, parttype }) => `${kname} (type ${parttype ?? 'unknown'})`).join(', ') || 'none'}`,
    );
  const number = await partitionNumber(os, esp.kname);
  return makeEntries(os, `/dev/${esp.kname}`, [{ disk, number, suffix: '' }]);
}
