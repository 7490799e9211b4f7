import { describe, expect, test, vi } from 'vitest';

import type { CommandResult } from '../../agent/api/command.ts';
import type { SystemFiles } from '../../agent/os/door.ts';
import { openState } from '../../agent/state.ts';
import { memoryFiles } from '../fakes/agent-os.ts';

const RESULT: CommandResult = {
  id: 'a',
  command_name: 'sync',
  command_status: 'SUCCEEDED',
  command_error: null,
  command_result: { x: [1] },
};
const LOST = { command_name: 'lost_history', command_status: 'FAILED' };
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
    expect(await store.certificate()).toBeUndefined();
    expect(await store.history()).toMatchObject([LOST]);
    files.all.set('/run/x/commands.json', JSON.stringify([{ id: 1 }, RESULT]));
    expect(await store.history()).toMatchObject([LOST]);
  });

  test('that cannot be written is kept in mind, and the next process knows what it has lost', async () => {
    const files = memoryFiles();
    const log = vi.fn<(message: string) => void>();
    const store = await openState(files, '/run/x', log);
    await store.update({ token: 't', callbackUrl: 'https://[::1]:9999' });
    await store.saveHistory([RESULT]);
    const full: SystemFiles['write'] = async () => {
      throw new Error('no space left on device');
    };
    const whileFull = await openState({ ...files, write: full }, '/run/x', log);
    await whileFull.update({ nodeUuid: 'n' });
    expect(whileFull.state()).toEqual({ token: 't', callbackUrl: 'https://[::1]:9999', nodeUuid: 'n' });
    await whileFull.saveCertificate(CERTIFICATE);
    expect(await whileFull.history()).toEqual([RESULT]);
    await expect(whileFull.saveHistory([RESULT, RESULT])).rejects.toThrow('no space left');
    expect(log.mock.calls.map(([message]) => message)).toEqual([
      "cannot keep the agent's state for its next process: no space left on device",
      'cannot keep the certificate for the next process: no space left on device',
    ]);
    // An empty history would tell Ironic that the machine has just booted, and the old one that nothing more was done.
    const next = await openState(files, '/run/x');
    expect(await next.history()).toMatchObject([LOST]);
    expect(next.state().token).toBe('t');
  });

  test('remembers a lookup whose answer nobody took in', async () => {
    const files = memoryFiles();
    files.makeDirectory = async (path) => void files.all.set(`${path}/.`, '');
    const remove = files.remove;
    files.remove = async (path) => {
      await remove(path);
      await remove(`${path}/.`);
    };
    const open = async () => openState(files, '/run/x');
    const store = await open();
    await store.asking();
    expect(store.tokenMayBeLost()).toBe(false);
    expect((await open()).tokenMayBeLost()).toBe(true);
    await store.asked('none');
    expect((await open()).tokenMayBeLost()).toBe(false);
    await store.asking();
    await store.asked('lost');
    await store.asking();
    await store.asked('none'); // of another answer: the one before may still have had it
    expect(store.tokenMayBeLost()).toBe(true);
    expect((await open()).tokenMayBeLost()).toBe(true);
    await store.asking();
    await store.asked('taken');
    expect(store.tokenMayBeLost()).toBe(false);
    expect((await open()).tokenMayBeLost()).toBe(false);
  });

  test('sweeps up what a killed process left half-written', async () => {
    const files = memoryFiles({ '/run/x/.0123456789ab.tmp': '{"tok', '/run/x/agent.pem': 'x' });
    await openState(files, '/run/x');
    expect([...files.all.keys()]).toEqual(['/run/x/agent.pem', '/run/x/commands.json']);
  });
});
