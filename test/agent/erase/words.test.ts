import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseDco, parseHdparmIdentify, parseHpa, parseSanitizeStatus } from '../../../agent/erase/ata-words.ts';
import { parseIdCtrl, parseSanitizeLog } from '../../../agent/erase/nvme-words.ts';
import { parseOpalQuery } from '../../../agent/erase/opal-words.ts';
import { parseOpcode } from '../../../agent/erase/scsi-words.ts';
import { hdparmIdentify } from '../../fakes/hdparm-answers.ts';
import { idCtrl } from '../../fakes/nvme-answers.ts';

describe('hdparm', () => {
  test('says what security and Sanitize a disk has', () => {
    const all = hdparmIdentify({ enabled: false, locked: false, frozen: true, sanitize: true, security: true });
    expect(parseHdparmIdentify(all)).toMatchObject({
      isSupported: true,
      isEnabled: false,
      isFrozen: true,
      hasEnhanced: true,
      eraseMinutes: 4,
      enhancedMinutes: 8,
      sanitize: { block: true, crypto: true, overwrite: true },
    });
    const none = hdparmIdentify({ enabled: false, locked: false, frozen: false, sanitize: false, security: false });
    expect(parseHdparmIdentify(none)).toMatchObject({
      isSupported: false,
      hasEnhanced: false,
      sanitize: { block: false },
    });
    const locked = hdparmIdentify({ enabled: true, locked: true, frozen: false, sanitize: false, security: true });
    expect(parseHdparmIdentify(locked)).toMatchObject({ isEnabled: true, isLocked: true, isFrozen: false });
  });

  test('says what is hidden', () => {
    expect(parseHpa(' max sectors   = 1000/2000, HPA is enabled')).toMatchObject({ hiddenSectors: 1000 });
    // QEMU's SATA disk of 40 MiB, whose evidence had a hidden sector for it.
    expect(parseHpa(' max sectors   = 0/1, HPA is enabled', 81_920)).toEqual({
      text: 'unknown: the disk does not say',
      hiddenSectors: null,
    });
    expect(parseHpa(' max sectors   = 1000/2000, HPA is enabled', 1000)).toMatchObject({ hiddenSectors: 1000 });
    expect(parseHpa(' max sectors   = 2000/2000, HPA is disabled')).toEqual({ text: 'none', hiddenSectors: 0 });
    expect(
      parseHpa(' max sectors   = 81920/18446744073321613488, HPA setting seems invalid (buggy kernel device driver?)'),
    ).toMatchObject({ hiddenSectors: null });
    expect(parseDco('Real max sectors: 1\n', Number.NaN)).toMatchObject({ hiddenSectors: null });
    expect(parseHpa('SG_IO: bad/missing sense data')).toMatchObject({ hiddenSectors: null });
    expect(parseDco('DCO Revision: 0x0002\nReal max sectors: 3000\n', 2000)).toMatchObject({ hiddenSectors: 1000 });
    expect(parseDco('', 2000)).toMatchObject({ hiddenSectors: null });
  });

  test('says how far a sanitize is', () => {
    expect(
      parseSanitizeStatus('    State:    SD2 Sanitize operation In Process\n    Progress: 0x41c2 (25%)\n'),
    ).toEqual({
      state: 'running',
      percent: 25,
    });
    expect(
      parseSanitizeStatus('    State:    SD0 Sanitize Idle\n    Last Sanitize Operation Completed Without Error\n')
        .state,
    ).toBe('done');
    expect(parseSanitizeStatus('    State:    SD1 Sanitize Frozen \n').state).toBe('frozen');
    expect(parseSanitizeStatus('').state).toBe('idle');
  });
});

describe('nvme', () => {
  test('says what a controller can', () => {
    expect(parseIdCtrl(idCtrl({ oacs: 0x17, fna: 0b101, sanicap: 0b010 }), '/dev/nvme0')).toMatchObject({
      canFormat: true,
      hasCryptoErase: true,
      formatsAll: true,
      sanitize: { block: true, crypto: false, overwrite: false },
    });
    expect(parseIdCtrl('NVMe status: INVALID', '/dev/nvme0')).toBeUndefined();
  });

  test('says how far a sanitize is', () => {
    const log = (progress: number, status: number) => {
      const bytes = Buffer.alloc(512);
      bytes.writeUInt16LE(progress, 0);
      bytes.writeUInt16LE(status, 2);
      return parseSanitizeLog(bytes);
    };
    expect(log(0xffff, 0x0101)).toMatchObject({ state: 'done' });
    expect(log(0x8000, 2)).toEqual({ state: 'running', share: 0.5 });
    expect(log(0, 3).state).toBe('failed');
    expect(log(0, 0).state).toBe('idle');
    expect(log(0, 7).state).toBe('failed');
  });
});

test('whatever devices say, it is taken for no more than words', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.uint8Array(), (text, bytes) => {
      parseHdparmIdentify(text);
      parseHpa(text);
      parseDco(text, 1);
      parseSanitizeStatus(text);
      parseSanitizeLog(bytes);
      parseOpcode(text);
      parseOpalQuery(text);
      expect(parseIdCtrl(text, 'x')?.controller ?? 'x').toBe('x');
    }),
  );
});
