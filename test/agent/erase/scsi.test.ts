import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { openChain } from '../../../agent/erase/chain.ts';
import { eraseDevicesMetadata } from '../../../agent/erase/erase-metadata.ts';
import { isSanitizing, parseOpcode, parseReadsAfter, parseSense } from '../../../agent/erase/scsi-words.ts';
import { erasableMachine, type FakeDisk } from '../../fakes/erasable-machine.ts';
import { eraseFakes, eraseMachine } from '../../fakes/erase-run.ts';
import { fixedSense, opcodeAnswer } from '../../fakes/scsi-answers.ts';

describe('what a SCSI disk says', () => {
  test('of a command: whether it has it, and whether other logical units lose their data', () => {
    expect(parseOpcode(opcodeAnswer(2, true))).toEqual({ isSupported: true, takesOthers: false });
    expect(parseOpcode(opcodeAnswer(3, false))).toEqual({ isSupported: false, takesOthers: false });
    expect(parseOpcode(opcodeAnswer(2, true, true))).toEqual({ isSupported: true, takesOthers: true });
    expect(parseOpcode('Report supported operation codes: Illegal request\n')).toMatchObject({ isSupported: false });
  });

  test('of what it is at, in both forms of sense data', () => {
    expect(parseSense(fixedSense(2, 0x04, 0x1b, 0x4000))).toEqual({
      state: 'running',
      share: 0.25,
      text: 'sense key 2h, 04h/1bh (sanitize in progress)',
    });
    // Descriptor format: key, code and qualifier at once, then a sense key specific descriptor (SPC-6, 4.5.2.4.5).
    const described = Buffer.from('720204 1b00000008 0206 0000 80 c000 00'.replaceAll(' ', ''), 'hex');
    expect(parseSense(described)).toMatchObject({ state: 'running', share: 0.75 });
    // The same as an information descriptor of progress (0Ah).
    const indicated = Buffer.from('7202041b00000008 0a06 0200 0000 8000'.replaceAll(' ', ''), 'hex');
    expect(parseSense(indicated)).toMatchObject({ state: 'running', share: 0.5 });
    expect(parseSense(fixedSense(0, 0, 0)).state).toBe('none');
    // A standby condition is no work that goes on; a reset is told once, and hides what comes after it.
    expect(parseSense(fixedSense(0, 0x5e, 0x03)).state).toBe('none');
    expect(parseSense(fixedSense(6, 0x29, 0)).state).toBe('again');
    expect(parseSense(fixedSense(3, 0x31, 0x03))).toEqual({
      state: 'failed',
      share: undefined,
      text: 'sense key 3h, 31h/03h (sanitize command failed)',
    });
    expect(parseSense(fixedSense(5, 0x20, 0)).state).toBe('failed');
    expect(parseSense(Buffer.alloc(0)).state).toBe('failed');
    expect(isSanitizing(parseSense(fixedSense(2, 0x04, 0x01)))).toBe(false);
  });

  test('of reads after an erase', () => {
    const page = (byte: number) => parseReadsAfter(Buffer.from([0, 0xb1, 0, 60, 0, 1, 0, byte]));
    expect(page(0b1101_0010)).toEqual({ block: 'an error until it is written', crypto: 'possible' });
    expect(page(0)).toEqual({ block: 'not said', crypto: 'not said' });
    expect(parseReadsAfter(undefined)).toEqual({ block: 'not said', crypto: 'not said' });
  });

  test('is never more than words, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const { state, share } = parseSense(bytes);
        expect(['none', 'running', 'failed', 'again']).toContain(state);
        expect((share ?? 0) >= 0 && (share ?? 0) < 1).toBe(true);
        // "Done" is what exactly one kind of answer says: a key of no sense.
        expect(state !== 'none' || bytes.length >= 8).toBe(true);
        parseReadsAfter(bytes);
      }),
    );
  });
});

const SAS: FakeDisk = { kind: 'sas', abilities: ['sanitize', 'crypto'] };

describe('a SCSI disk', () => {
  test('is erased by its own Sanitize, and is asked how far it is', async () => {
    await using outcome = await eraseFakes([SAS]);
    expect(outcome).toMatchObject({ failure: '', faults: [] });
    expect(outcome.records[0]).toMatchObject({ result: 'erased', category: 'purge' });
    expect(outcome.records[0]?.plan.methods.map(({ method }) => method)).toEqual([
      'scsi-sanitize-block',
      'scsi-sanitize-crypto',
      'scsi-sanitize-overwrite',
    ]);
    expect(outcome.calls).toContain('sg_sanitize --block --quick --early /dev/sda');
    expect(outcome.calls).toContain('sg_requests --raw /dev/sda');
    expect(outcome.progress.join('\n')).toContain('sda sanitize 50%');
    expect(outcome.records[0]?.verification?.witnesses).toEqual({ samples: 64, held: 64, unchanged: 0 });
  });

  test('may be left for a weaker method after a failure only where the operator allows one', async () => {
    const fakes: FakeDisk[] = [{ ...SAS, firmware: 'fails-half-way' }];
    await using strict = await eraseFakes(fakes);
    expect(strict.failure).toContain('31h/03h (sanitize command failed)');
    expect(strict.calls.join('\n')).not.toContain('--ause');
    await using lax = await eraseFakes(fakes, { info: { agent_continue_if_secure_erase_failed: true } });
    expect(lax.calls).toContain('sg_sanitize --block --quick --early --ause /dev/sda');
    expect(lax.records[0]).toMatchObject({ result: 'erased', category: 'clear' });
  });

  // Commit 64689cd: hdparm prints a page for it, too, of zeros; hidden sectors were read out of that, and Sanitize was not asked for.
  test('is not taken for an ATA disk without a model', async () => {
    await using outcome = await eraseFakes([SAS, { kind: 'sas', abilities: [] }]);
    expect(outcome.records.map(({ hidden }) => hidden.hpa)).toEqual(['not an ATA disk', 'not an ATA disk']);
    expect(outcome.records.map(({ capabilities }) => capabilities['ata'])).toEqual([null, null]);
    expect(outcome.records.map(({ category }) => category)).toEqual(['purge', 'clear']);
    expect(outcome.calls.filter((call) => call.startsWith('hdparm')).every((call) => call.includes('-I'))).toBe(true);
  });

  test('is overwritten where the tools are not there, and the plan says how to have them', async () => {
    await using outcome = await eraseFakes([SAS], { without: ['sg_opcodes', 'sg_sanitize', 'sg_requests'] });
    expect(outcome.records[0]).toMatchObject({ result: 'erased', category: 'clear' });
    expect(outcome.records[0]?.plan.excluded).toContainEqual({
      method: 'scsi-sanitize-block',
      why: 'the tools of sg3-utils are not in this ramdisk: build it with the element sg3-utils',
    });
  });

  test('is not sanitized where another logical unit would lose its data, or nothing could be read afterwards', async () => {
    await using both = await eraseFakes([{ ...SAS, takesOthers: true }]);
    expect(both.records[0]).toMatchObject({ result: 'erased', category: 'clear' });
    expect(both.log).toContain('it would erase other logical units of the same device, too');
    await using deaf = await eraseFakes([{ ...SAS, readsAfter: 0b1110_0000 }]);
    expect(deaf.records[0]?.attempts.map(({ method }) => method)).toEqual(['scsi-sanitize-overwrite']);
    expect(deaf.log).toContain('a read gives an error until it is written afterwards');
  });

  test('that was at a sanitize when the machine started has no size: it is waited for, told, and done again to be proved', async () => {
    await using machine = await erasableMachine([SAS]);
    const [disk] = machine.disks;
    if (disk === undefined) throw new Error('there is one');
    Object.assign(disk, { sanitizing: 3, sanitizeStatus: 2, isSizeless: true });
    const outcome = await eraseMachine(machine);
    expect(outcome).toMatchObject({ failure: '', faults: [] });
    expect(outcome.records).toMatchObject([{ result: 'erased', category: 'purge' }]);
    expect(outcome.records[0]?.attempts[0]?.gaps[0]?.how).toContain('04h/1bh');
    expect(outcome.log).toContain('has no size until that ends');
  });

  test('that is at a sanitize is waited for by the step before, too, which would find no disk to wipe', async () => {
    await using machine = await erasableMachine([SAS]);
    const [disk] = machine.disks;
    if (disk === undefined) throw new Error('there is one');
    Object.assign(disk, { sanitizing: 3, sanitizeStatus: 2, isSizeless: true });
    const { os } = machine;
    const result = await eraseDevicesMetadata(
      os,
      { uuid: 'n0de', driver_info: { ingot_psids: 'of no matter here' } },
      {
        args: {},
        guard: { guardSpecialFilesystems: true, guardContents: [], guardRemovable: false },
        chain: () => openChain(os.files),
        machine: { serial: null, vendor: null, product: null },
        signal: new AbortController().signal,
        progress: () => undefined,
        log: () => undefined,
      },
    );
    expect(result).toMatchObject({
      '/dev/sda': { record: { result: 'erased', category: 'none', attempts: [{ gaps: [{ position: null }] }] } },
    });
  });

  test('whose sanitize never ends is an error in the end', async () => {
    await using outcome = await eraseFakes([{ ...SAS, firmware: 'never-ends' }]);
    expect(outcome.failure).toContain('the device has been at 50 % for 6 hours');
    expect(outcome.records[0]).toMatchObject({ result: 'failed', category: 'none' });
  });
});

test('what an ATA disk hides is unknown, and not nothing, where hdparm is not there', async () => {
  await using outcome = await eraseFakes([{ kind: 'sata', abilities: ['security'] }], { without: ['hdparm'] });
  expect(outcome.records[0]?.hidden.hpa).toBe('unknown: the tool hdparm is not in this ramdisk');
});
