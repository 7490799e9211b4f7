import { describe, expect, test } from 'vitest';

import { progressUpdate } from '../../../conductor/cli/wait.ts';
import { parseProperties, parseRootDevice } from '../../../conductor/cli/node-create.ts';
import { parseChecksum } from '../../../conductor/cli/node-deploy.ts';
import { kernelParameters } from '../../../conductor/drive/boot-script.ts';
import { imageInfo } from '../../../conductor/drive/image.ts';
import { timeoutReason } from '../../../conductor/drive/timeouts.ts';
import { timestamp } from '../../../conductor/store/store.ts';

const node = (fields: object) =>
  ({
    uuid: 'u',
    name: 'n1',
    provision_state: 'clean wait',
    provision_updated_at: null,
    driver_info: {},
    driver_internal_info: {},
    instance_info: {},
    properties: {},
    ...fields,
  }) as never;

describe('what is typed', () => {
  test('root device hints are pairs or JSON', () => {
    expect(parseRootDevice('serial=0012')).toEqual({ serial: '0012' });
    expect(parseRootDevice('size=100, rotational=false')).toEqual({ size: 100, rotational: false });
    expect(parseRootDevice('{"size": ">= 100"}')).toEqual({ size: '>= 100' });
    expect(() => parseRootDevice('serial')).toThrow('HINT=VALUE');
    expect(() => parseRootDevice('{serial}')).toThrow('no JSON object');
  });

  test('properties are pairs, whose values may be JSON, or JSON', () => {
    expect(parseProperties(['a=1', 'b=x=y', 'c={"d":[1]}', '{"e":null}'])).toEqual({
      a: 1,
      b: 'x=y',
      c: { d: [1] },
      e: null,
    });
    expect(() => parseProperties(['a'])).toThrow('KEY=VALUE');
  });

  test('a checksum tells its algorithm by its length', () => {
    expect(parseChecksum('A'.repeat(64))).toEqual({ algorithm: 'sha256', value: 'a'.repeat(64) });
    expect(parseChecksum(`sha512:${'0'.repeat(128)}`).algorithm).toBe('sha512');
    for (const wrong of [
      '',
      'xyz',
      'a'.repeat(63),
      'a'.repeat(32),
      `sha512:${'a'.repeat(64)}`,
      `${'a'.repeat(64)} file`,
    ]) {
      expect(() => parseChecksum(wrong)).toThrow('cannot use --checksum');
    }
  });
});

describe('kernel parameters', () => {
  const settings = { publicUrl: 'http://c:6385', kernelAppend: 'console=ttyS0' };
  test('are one line, whatever was put into them', () => {
    const line = kernelParameters(
      node({ driver_info: { kernel_append_params: 'a=1\nreboot' } }),
      '52:54:00:00:00:01',
      settings,
    );
    expect(line).toBe(
      'ipa-api-url=http://c:6385 BOOTIF=01-52-54-00-00-00-01 rootfstype=ramfs console=ttyS0 a=1 reboot',
    );
  });
  test('of an inspection have the callback and no API', () => {
    const line = kernelParameters(
      node({
        driver_internal_info: { ingot_ramdisk: 'inspect' },
        driver_info: { kernel_append_params: 'x %default%' },
      }),
      '52:54:00:00:00:01',
      settings,
    );
    expect(line).toBe(
      'ipa-inspection-callback-url=http://c:6385/v1/continue_inspection BOOTIF=01-52-54-00-00-00-01 rootfstype=ramfs x console=ttyS0',
    );
  });
});

describe('an image to deploy', () => {
  const GOOD = { image_source: 'http://h/a%20b.qcow2?x=1', image_disk_format: 'qcow2', image_checksum: 'a'.repeat(64) };
  test('becomes image_info', () => {
    expect(imageInfo(node({ instance_info: GOOD }))).toMatchObject({
      id: 'a b.qcow2',
      urls: [GOOD.image_source],
      checksum: GOOD.image_checksum,
    });
  });
  test.each([
    [{ image_source: undefined }, 'image_source'],
    [{ image_source: 'file:///etc/passwd' }, 'no http or https URL'],
    [{ image_source: 'ftp://u:geheim@h/x' }, 'no http or https URL'],
    [{ image_checksum: undefined }, 'no checksum'],
    [{ image_checksum: 'abc' }, 'neither a sha256'],
    [{ image_os_hash_algo: 'sha256' }, 'belong together'],
    [{ image_disk_format: 'vmdk' }, 'vmdk is none of'],
    [{ image_type: 'partition' }, 'only images of a whole disk'],
  ])('%j is refused', (change, text) => {
    const refuse = () => imageInfo(node({ instance_info: { ...GOOD, ...change } }));
    expect(refuse).toThrow(text);
    expect(refuse).not.toThrow('geheim');
  });
});

describe('waiting too long', () => {
  const context = { now: 1_000_000, contact: undefined, timeoutSeconds: 100, publicUrl: 'http://c' };
  const at = (seconds: number) => timestamp(1_000_000 - seconds * 1000);
  test.each([
    [{}, 'never fetched its boot script'],
    [{ ingot_boot_script_fetched: at(200) }, 'its agent never reported'],
    [{ ingot_looked_up: at(200) }, 'sent no heartbeat'],
    [{ agent_last_heartbeat: at(150) }, 'last heartbeat came at'],
  ])('says how far the machine got: %j', (driver_internal_info, text) => {
    expect(timeoutReason(node({ provision_updated_at: at(300), driver_internal_info }), context)).toContain(text);
  });
  test.each([
    [{ provision_updated_at: at(99) }, undefined],
    [{ provision_updated_at: at(300), driver_internal_info: { agent_last_heartbeat: at(10) } }, undefined],
    [{ provision_updated_at: at(300) }, 1_000_000 - 5000],
    [{ provision_updated_at: at(300), provision_state: 'active' }, undefined],
  ])('is not so while there is a sign of life, or nothing to wait for: %j', (fields, contact) => {
    expect(timeoutReason(node(fields), { ...context, contact })).toBeUndefined();
  });
});

describe('progress while waiting', () => {
  test("is the agent's when a command runs", () => {
    const agent_progress = {
      command: 'execute_deploy_step',
      step: 'write_image',
      phase: 'write',
      done: 5,
      total: 10,
      unit: 'bytes',
      rate: 1,
      message: null,
    };
    expect(progressUpdate(node({ driver_internal_info: { agent_progress } }))).toEqual({
      phase: 'n1: clean wait write_image, write',
      done: 5,
      total: 10,
      unit: 'bytes',
    });
  });
  test('says what is awaited before', () => {
    const info = { ingot_ramdisk: 'agent', ingot_ramdisk_started: 'x' };
    expect(progressUpdate(node({ driver_internal_info: info })).message).toContain('ask for its ramdisk');
    expect(
      progressUpdate(node({ driver_internal_info: { ...info, ingot_boot_script_fetched: 'x' } })).message,
    ).toContain('is booting');
  });
});
