import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import {
  buildConfigdrive,
  checkConfigdrive,
  checkPackedConfigdrive,
  configdriveFiles,
  packConfigdrive,
} from '../../../conductor/drive/configdrive.ts';
import { systemOs } from '../../../conductor/os/system.ts';
import { systemRun } from '../../../system/run.ts';

const NODE = { uuid: '11111111-2222-3333-4444-555555555555', name: 'n1' };
const { signal } = new AbortController();

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-drive-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('the files', () => {
  test('hold what cloud-init looks for', () => {
    const files = configdriveFiles(NODE, {
      meta_data: { hostname: 'web1', public_keys: { a: 'ssh-ed25519 AAAA' } },
      user_data: '#cloud-config\n',
    });
    expect([...files.keys()]).toEqual(['openstack/latest/meta_data.json', 'openstack/latest/user_data']);
    expect(JSON.parse(files.get('openstack/latest/meta_data.json') ?? '')).toEqual({
      uuid: NODE.uuid,
      name: 'n1',
      hostname: 'web1',
      public_keys: { a: 'ssh-ed25519 AAAA' },
    });
  });

  test("the host name is the node's name where none is given", () => {
    expect(JSON.parse(configdriveFiles(NODE, {}).get('openstack/latest/meta_data.json') ?? '')).toMatchObject({
      hostname: 'n1',
    });
  });
});

describe('the drive', () => {
  test('is an ISO 9660 image labelled config-2, with the files under their own names', async () => {
    const packed = await buildConfigdrive(
      systemOs,
      NODE,
      { meta_data: { hostname: 'web1' }, network_data: { links: [] } },
      signal,
    );
    const image = gunzipSync(Buffer.from(packed, 'base64'));
    const path = join(folder, 'drive.iso');
    writeFileSync(path, image);
    // ECMA-119: the volume descriptor is at sector 16, its identifier "CD001", the label at byte 40 of it.
    expect(image.subarray(0x8001, 0x8006).toString()).toBe('CD001');
    expect(image.subarray(0x8028, 0x8048).toString().trim()).toBe('config-2');
    const out = join(folder, 'out');
    await systemRun('xorriso', ['-osirrox', 'on', '-indev', path, '-extract', '/', out]);
    expect(JSON.parse(readFileSync(join(out, 'openstack/latest/meta_data.json'), 'utf8'))).toMatchObject({
      hostname: 'web1',
    });
    expect(JSON.parse(readFileSync(join(out, 'openstack/latest/network_data.json'), 'utf8'))).toEqual({ links: [] });
    await systemRun('chmod', ['-R', 'u+w', out]);
  });

  test('cannot be made without a tool, and says which', async () => {
    const run = () => Promise.reject(new Error('cannot run x: spawn x ENOENT'));
    await expect(buildConfigdrive({ ...systemOs, run }, NODE, {}, signal)).rejects.toMatchObject({
      message: expect.stringContaining('xorrisofs') as string,
      hint: 'apt install xorriso',
    });
  });

  test('is at most 64 MiB', async () => {
    const limit = 64 * 1024 * 1024;
    await expect(packConfigdrive(new Uint8Array(limit + 1))).rejects.toThrow('at most');
    const packed = await packConfigdrive(new Uint8Array(limit));
    await expect(checkPackedConfigdrive(packed)).resolves.toBeUndefined();
    await expect(checkPackedConfigdrive(packed.slice(0, 100))).rejects.toThrow('cannot be unpacked');
  });
});

describe('a request', () => {
  test.each([[5], [null], [[]], ['text'], [{ metadata: {} }], [{ meta_data: 'x' }], ['ftp://host/drive']])(
    'that makes no sense is refused: %j',
    (value) => {
      expect(() => checkConfigdrive(value)).toThrow('cannot make the config drive');
    },
  );

  test.each([['https://host/drive'], ['H4sIAAAA'], [{}], [{ user_data: 'x', vendor_data: {} }]])(
    'that makes sense is taken: %j',
    (value) => {
      expect(checkConfigdrive(value)).toEqual(value);
    },
  );
});
