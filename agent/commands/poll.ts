import { Type } from 'typebox';

import { AgentError } from '../api/errors.ts';
import type { CommandSpec } from '../engine/command-table.ts';
import type { AgentDeps } from './deps.ts';

export const POLL_COMMANDS: readonly CommandSpec<AgentDeps>[] = [
  {
    name: 'poll.get_hardware_info',
    mode: 'sync',
    summary: 'Collects the inventory anew.',
    params: Type.Object({}),
    run: (deps) => deps.inventory(),
  },
  {
    name: 'poll.set_node_info',
    mode: 'sync',
    summary: 'Refused: the node is always that of the lookup, as in every agent since 2021.',
    params: Type.Object({ node_info: Type.Optional(Type.Unknown()) }),
    validate: () => {
      throw new AgentError(
        'InvalidCommandError',
        'the node can be set only in an agent that no Ironic has to be asked for it, and there is no such mode',
      );
    },
    run: async () => null,
  },
];
