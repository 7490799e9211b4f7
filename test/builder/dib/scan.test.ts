import { describe, expect, test } from 'vitest';

import { fetchingHooks, hostPrograms, type HookText, networkHooks } from '../../../builder/dib/scan.ts';

const hook = (place: HookText['place'], text: string): HookText => ({
  place,
  text,
  file: { path: 'extra-data.d/10-x', element: 'mine', source: '/e/mine/extra-data.d/10-x', executable: true },
});
const programs = (text: string) => hostPrograms([hook('host', text)]).map((one) => one.program);

describe('programs that hooks call', () => {
  test('are found where a command can stand', () => {
    expect(programs('sudo rsync -a x y\nif jq . f; then curl http://x; fi\nx=$(git rev-parse HEAD)')).toEqual([
      'curl',
      'git',
      'jq',
      'rsync',
    ]);
    expect(programs('sudo -E kpartx -a x')).toEqual(['kpartx']);
  });

  test('are not found in comments and in arguments', () => {
    expect(programs('# curl is not called\necho curl\nmkdir git\nexport rsync=1\nrsyncd')).toEqual([]);
  });

  test('inside the image are no business of this machine', () => {
    expect(hostPrograms([hook('image', 'rsync a b')])).toEqual([]);
  });

  test('tell which hooks fetch things', () => {
    expect(networkHooks([hook('image', 'pip install x'), hook('host', 'mkdir x')])).toEqual([
      expect.objectContaining({ program: 'pip' }),
    ]);
  });

  test('tell what is installed from signed lists from what is fetched from anywhere', () => {
    const hooks = [hook('image', 'install-packages vim'), hook('image', 'git clone https://h/x')];
    expect(networkHooks(hooks)).toHaveLength(2);
    expect(fetchingHooks(hooks).map((one) => one.program)).toEqual(['git']);
  });
});
