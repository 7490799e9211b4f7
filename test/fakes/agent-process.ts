// An agent in a process of its own, to be killed by a test: `agent-process.ts CMDLINE STATE_DIRECTORY`. Its one command never ends.
import { Type } from 'typebox';

import { runAgent } from '../../agent/agent.ts';
import { fakeOs } from './agent-os.ts';
import { fakeParts } from './agent-parts.ts';
import { fastClock } from './clock.ts';

const [cmdline = '', stateDirectory = ''] = process.argv.slice(2);
const { parts } = await fakeParts({
  cmdline,
  stateDirectory,
  os: fakeOs({ clock: fastClock(10) }),
  signal: new AbortController().signal,
  commands: [
    {
      name: 'test.endless',
      mode: 'async',
      summary: 'never ends',
      params: Type.Object({}),
      run: (_deps, _params, context) => {
        context.progress({ phase: 'turn round' });
        return new Promise(() => undefined);
      },
    },
  ],
});
await runAgent(parts);
