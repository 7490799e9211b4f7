import { describe, expect, test } from 'vitest';

import { findArchitecture } from '../../../arch/table.ts';
import { callerVariables, coreVariables, type DibBase, redacted } from '../../../builder/dib/variables.ts';

const base: DibBase = {
  distribution: 'debian',
  release: 'trixie',
  family: 'debian',
  mirror: 'http://mirror/debian',
  sources: [],
  aptSettings: [],
};
const places = { build: '/mnt', tree: '/mnt/mnt', hooks: '/mnt/hooks', shell: '/shell', cache: '/cache' };
const element = { name: 'mine', folder: "/e/it's/mine", deps: [], provides: [] };

function core(arch: string, family: DibBase['family'] = 'debian', caller: Record<string, string> = {}) {
  const row = findArchitecture(arch);
  if (row === undefined) throw new Error(`no ${arch}`);
  return coreVariables(row, { ...base, family }, [element], places, caller, false);
}

describe('variables of hooks', () => {
  test('are those of the caller that are meant for them, or that a hook names', () => {
    const env = {
      DIB_X: '1',
      MY_THING: '2',
      OTHER: '3',
      HOME: '/root',
      https_proxy: 'http://p',
      LC_ALL: 'de',
      X: undefined,
    };
    expect(callerVariables(env, ['echo "$MY_THING" $HOME'])).toEqual({
      DIB_X: '1',
      MY_THING: '2',
      https_proxy: 'http://p',
    });
  });

  test('name the architecture as DIB does: by dpkg, or from uname', () => {
    expect(core('x86_64')['ARCH']).toBe('amd64');
    expect(core('aarch64', 'rpm')['ARCH']).toBe('arm64');
    expect(core('loongarch64')['ARCH']).toBe('loong64');
    expect(core('loongarch64', 'rpm')['ARCH']).toBe('loongarch64');
  });

  test('have the places of this build, whatever the caller says', () => {
    const variables = core('x86_64', 'debian', { TMP_MOUNT_PATH: '/', DIB_RELEASE: 'sid', DIB_X: 'kept' });
    expect(variables).toMatchObject({
      TMP_MOUNT_PATH: '/mnt/mnt',
      TMP_HOOKS_PATH: '/mnt/hooks',
      DIB_RELEASE: 'trixie',
      DIB_X: 'kept',
      _LIB: '/shell/lib',
      IMAGE_ELEMENT: 'mine',
    });
    expect(variables).not.toHaveProperty('TARGET_ROOT');
    expect(core('x86_64', 'rpm')['YUM']).toBe('dnf');
  });

  test('are in the manifest of the image without secrets', () => {
    expect(redacted({ DIB_DEV_USER_PASSWORD: 'x', DIB_API_TOKEN: 'y', DIB_RELEASE: 'trixie', MINE: 'z' })).toBe(
      'DIB_DEV_USER_PASSWORD=(not shown)\nDIB_API_TOKEN=(not shown)\nDIB_RELEASE=trixie',
    );
  });
});
