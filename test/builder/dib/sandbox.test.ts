import { describe, expect, test } from 'vitest';

import { idMaps, subordinateRange } from '../../../builder/dib/sandbox.ts';

describe('numbers of users in the sandbox', () => {
  test('are granted by name or by number', () => {
    const text = 'other:100000:65536\nme:200000:65536\n1000:300000:1000\n';
    expect(subordinateRange(text, { name: 'me', id: 7 })).toEqual([200_000, 65_536]);
    expect(subordinateRange(text, { name: 'x', id: 1000 })).toEqual([300_000, 1000]);
    expect(subordinateRange(text, { name: 'nobody', id: 7 })).toBeUndefined();
  });

  test('are root’s own where root builds', async () => {
    expect(await idMaps({ name: 'root', uid: 0, gid: 0 })).toEqual({ uids: [[0, 0, 65_536]], gids: [[0, 0, 65_536]] });
  });

  test('cannot be had by a user to whom none are granted, and the failure says how to grant them', async () => {
    await expect(idMaps({ name: 'no-such-user', uid: 4_000_000, gid: 4_000_000 })).rejects.toMatchObject({
      code: 'DIB_NO_SANDBOX',
      message: expect.stringContaining('no-such-user may use no other numbers') as string,
      hint: expect.stringContaining('usermod --add-subuids') as string,
    });
  });
});
