import { defineCommand } from '../cli/command.ts';
import { usageFailure } from '../cli/options.ts';
import type { Program } from '../cli/program.ts';
import { reasonOf } from '../system/failure.ts';
import type { Node } from './api/command.ts';
import { loadAll } from './config/load.ts';
import { type ExaminedDisk, examineDisks } from './disk/examine.ts';
import { guardDisk, guardOptions, type GuardReason } from './disk/guard.ts';
import { describeDisks } from './disks-view.ts';
import type { NotADisk } from './hardware/disk-model.ts';
import { readStorage } from './hardware/disks.ts';
import { considerRootDisk } from './hardware/root-disk.ts';
import { skippedDisks } from './hardware/skip-list.ts';
import type { AgentOs } from './os/door.ts';
import { systemOs } from './os/system.ts';

/** A disk as the command shows it: what it is, why it is or is not the root disk, and what would keep it from an erase. */
export type ShownDisk = {
  disk: ExaminedDisk;
  isChosen: boolean;
  reasons: string[];
  guard: GuardReason[];
};
export type ShownDisks = {
  disks: ShownDisk[];
  others: NotADisk[];
  /** Why there is no root disk. */
  problem: string | undefined;
};

/**
 * All disks with all that is said of them. Reads only.
 * @param node whose hints and skip list count
 * @throws AgentError for hints that make no sense, or when lsblk cannot be read
 */
export async function collectDisks(os: AgentOs, node: Node): Promise<ShownDisks> {
  const { config } = await loadAll(os, { kernelParameters: undefined, useMedia: false });
  const storage = await readStorage(os);
  const { candidates, chosen, problem } = considerRootDisk(node, storage.disks, storage.others);
  const options = guardOptions(config, skippedDisks(node, storage.disks));
  const examined = await examineDisks(os, storage);
  return {
    disks: examined.map((disk) => ({
      disk,
      isChosen: disk.kname === chosen?.kname,
      reasons: candidates.find((one) => one.disk.kname === disk.kname)?.reasons ?? [],
      guard: guardDisk(disk, options),
    })),
    others: storage.others,
    problem: problem?.details,
  };
}

function json(name: string, text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw usageFailure(`cannot read --${name} ${text}: ${reasonOf(error)}`, 'it is JSON, as in the node’s properties');
  }
}

/** The JSON form: IPA's record of each disk, and beside it what that has no place for. */
function asJson({ disks, others, problem }: ShownDisks): unknown {
  return {
    disks: disks.map(({ disk: { disk, family, below, ...model }, isChosen, reasons, guard }) => ({
      ...disk,
      ...model,
      family: family.map(({ kname }) => kname),
      below: below.map(({ kname }) => kname),
      is_root_disk: isChosen,
      not_root_disk_because: reasons,
      guard,
    })),
    others,
    root_disk: disks.find(({ isChosen }) => isChosen)?.disk.disk.name ?? null,
    problem: problem ?? null,
  };
}

async function showDisks(
  { stdout }: Program,
  values: { json: boolean; hints: string | undefined; skip: string | undefined },
): Promise<number> {
  const [hints, skip] = [json('hints', values.hints), json('skip', values.skip)];
  const node: Node = { uuid: '', properties: { root_device: hints, skip_block_devices: skip } };
  const shown = await collectDisks(systemOs(), node);
  stdout.write(values.json ? `${JSON.stringify(asJson(shown), null, 1)}\n` : describeDisks(shown));
  return 0;
}

/** `ingot-agent disks`: reads only, on any machine. */
export const disksCommand = defineCommand({
  summary: 'Shows the disks: what each is, which one an image would go to and why, what guards it.',
  usage: '[--json] [--hints JSON] [--skip JSON]',
  details: [
    'It only reads, on any machine; without root it cannot look into the disks.',
    'Example: ingot-agent disks --hints \'{"model": "<in> micron"}\'',
  ],
  options: {
    json: { type: 'boolean', help: 'all of it, as JSON' },
    hints: {
      type: 'string',
      placeholder: 'JSON',
      help: 'root device hints to choose by, as in properties.root_device',
    },
    skip: { type: 'string', placeholder: 'JSON', help: 'a list of hints as in properties.skip_block_devices' },
  },
  run: (program, values, surplus) => {
    if (surplus.length > 0) throw usageFailure(`cannot understand "${surplus.join(' ')}"`, 'see --help');
    return showDisks(program, values);
  },
});
