import { defineCommand } from '../../cli/command.ts';
import { usageFailure } from '../../cli/options.ts';
import { connect, nodePath } from './client.ts';
import { oneNode } from './node-records.ts';
import { API_OPTIONS } from './shared-options.ts';
import { printJson } from './show.ts';

function parseTarget(text: string): unknown {
  try {
    const target: unknown = JSON.parse(text);
    if (typeof target === 'object' && target !== null && !Array.isArray(target)) return target;
  } catch {
    // Said below.
  }
  throw usageFailure(
    `cannot use --target ${text}: it is no JSON object`,
    `--target '{"logical_disks": [{"controller": "software", "raid_level": "1", "size_gb": "MAX"}]}'`,
  );
}

export const raidCommand = defineCommand({
  summary: 'Shows the RAID configuration of a node, or sets the one that is wanted.',
  usage: 'NODE [--target JSON]',
  details: [
    'What is wanted is made by the clean steps raid.delete_configuration and',
    'raid.create_configuration; nothing happens before. {} takes the wish back.',
  ],
  options: {
    ...API_OPTIONS,
    target: { type: 'string', placeholder: 'JSON', help: "target_raid_config in Ironic's form: logical_disks" },
  },
  run: async ({ stdout, signal }, values, positionals) => {
    const client = connect(values.api, signal);
    const ident = oneNode(positionals);
    if (values.target !== undefined)
      await client.send('PUT', `${nodePath(ident)}/states/raid`, parseTarget(values.target));
    const { raid_config, target_raid_config } = await client.node(ident);
    if (values.json) printJson(stdout, { raid_config, target_raid_config });
    else stdout.write(`there is  ${JSON.stringify(raid_config)}\nwanted is ${JSON.stringify(target_raid_config)}\n`);
    return 0;
  },
});
