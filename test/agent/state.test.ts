import { describe, expect, test } from 'vitest';

import type { CommandResult } from '../../agent/api/command.ts';
import { openState } from '../../agent/state.ts';
import { memoryFiles } from '../fakes/agent-os.ts';

const RESULT: CommandResult = {
  id: 'a',
  command_name: 'sync',
  command_status: 'SUCCEEDED',
  command_error: null,
  command_result: { x: [1] },
};
const CERTIFICATE = {
  certificate: '-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n',
  key: '-----BEGIN PRIVATE KEY-----\nQg==\n-----END PRIVATE KEY-----\n',
};

describe('the state of a boot', () => {
  test('comes back as it was kept', async () => {
    const files = memoryFiles();
    const store = await openState(files, '/run/x');
    expect(store.state()).toEqual({});
    expect(await store.certificate()).toBeUndefined();
    expect(await store.history()).toEqual([]);
    await store.update({ token: 't' });
    await store.update({ nodeUuid: 'n' });
    await store.saveCertificate(CERTIFICATE);
    await store.saveHistory([RESULT]);
    const again = await openState(files, '/run/x');
    expect(again.state()).toEqual({ token: 't', nodeUuid: 'n' });
    expect(await again.certificate()).toEqual(CERTIFICATE);
    expect(await again.history()).toEqual([RESULT]);
  });

  test('that is damaged is as good as none', async () => {
    const files = memoryFiles({
      '/run/x/state.json': '{"token": 7}',
      '/run/x/commands.json': '[{"id": 1}, nonsense',
      '/run/x/agent.pem': CERTIFICATE.certificate,
    });
    const store = await openState(files, '/run/x');
    expect(store.state()).toEqual({});
    expect(await store.history()).toEqual([]);
    expect(await store.certificate()).toBeUndefined();
    files.all.set('/run/x/commands.json', JSON.stringify([{ id: 1 }, RESULT]));
    expect(await store.history()).toEqual([RESULT]);
  });
});
