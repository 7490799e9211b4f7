import { describe, expect, test } from 'vitest';

import { parseOpalQuery } from '../../../agent/erase/opal-words.ts';
import { readSettings } from '../../../agent/erase/settings.ts';
import type { FakeDisk } from '../../fakes/erasable-machine.ts';
import { type EraseOutcome, eraseFakes } from '../../fakes/erase-run.ts';
import { queryAnswer } from '../../fakes/opal-answers.ts';

const PSID = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ012345';
const WRONG = '543210ZYXWVUTSRQPONMLKJIHGFEDCBA';
const OPAL: FakeDisk = { kind: 'sata', abilities: ['opal'], psid: PSID, serial: 'S1' };
const said = ({ evidence, log, failure, result, progress }: EraseOutcome): string =>
  JSON.stringify([evidence, log, failure, result, progress]);

describe('a disk with TCG Opal', () => {
  test('says so, and whether it is locked', () => {
    expect(parseOpalQuery(queryAnswer(true))).toMatchObject({ isSupported: true, isLocked: true });
    expect(parseOpalQuery(queryAnswer(false))).toMatchObject({ isSupported: true, isLocked: false });
    expect(parseOpalQuery('/dev/sda ATA QEMU HARDDISK 2.5+ QM1\nTPer function (0x0001)\n')).toMatchObject({
      isSupported: false,
    });
  });

  test.each([
    ['the step', { args: { psids: { S1: PSID } } }],
    ['the node', { driverInfo: { ingot_psids: { S1: 'ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ01-2345' } } }],
  ])('is reverted with the PSID that %s has, which is said nowhere', async (_where, options) => {
    await using outcome = await eraseFakes([OPAL], options);
    expect(outcome).toMatchObject({ failure: '', faults: [] });
    expect(outcome.records[0]).toMatchObject({ result: 'erased', category: 'purge' });
    expect(outcome.records[0]?.attempts.map(({ method }) => method)).toEqual(['opal-psid-revert']);
    expect(outcome.records[0]?.attempts[0]?.commands.map(({ command }) => command)).toContain(
      'sedutil-cli --PSIDrevert *** /dev/sda',
    );
    expect(said(outcome)).not.toContain(PSID);
  });

  test('that is locked is reverted once to be open, and once more to be proved', async () => {
    await using outcome = await eraseFakes([{ ...OPAL, isLocked: true }], { args: { psids: { S1: PSID } } });
    expect(outcome).toMatchObject({ failure: '', faults: [] });
    expect(outcome.records[0]).toMatchObject({ result: 'erased', category: 'purge' });
    expect(outcome.records[0]?.verification).toMatchObject({ canaries: true, wrong: 0 });
    expect(outcome.calls.filter((call) => call.startsWith('sedutil-cli --PSIDrevert'))).toHaveLength(2);
    // Without the PSID it is a disk that nobody can look into.
    await using without = await eraseFakes([{ ...OPAL, isLocked: true }]);
    expect(without.failure).toContain('cannot be looked into');
  });

  test('refuses a wrong PSID, and neither of the two is said', async () => {
    await using outcome = await eraseFakes([OPAL], { args: { psids: { S1: WRONG } } });
    expect(outcome.failure).toContain('sedutil-cli --PSIDrevert *** /dev/sda');
    expect(outcome.failure).toContain('NOT_AUTHORIZED for ***');
    expect(outcome.records[0]).toMatchObject({ result: 'failed', category: 'none' });
    expect(said(outcome)).not.toContain(WRONG);
  });

  test.each(['does-nothing', 'half', 'leaves-one-percent', 'remaps'] as const)(
    'that is reverted and "%s" is found out',
    async (firmware) => {
      await using outcome = await eraseFakes([{ ...OPAL, firmware }], { args: { psids: { S1: PSID } } });
      expect(outcome.records[0]).toMatchObject({ result: 'failed', category: 'none' });
    },
  );

  test('is overwritten without the tool, and the plan says how to have it', async () => {
    await using outcome = await eraseFakes([OPAL], { args: { psids: { S1: PSID } }, without: ['sedutil-cli'] });
    expect(outcome.records[0]?.plan.excluded).toContainEqual({
      method: 'opal-psid-revert',
      why: 'the tool sedutil-cli is not in this ramdisk: build it with the element sedutil',
    });
    await using other = await eraseFakes([{ kind: 'sata', serial: 'S1' }], { args: { psids: { S1: PSID, S9: PSID } } });
    expect(other.log).toContain('libata.allow_tpm=1');
    expect(other.log).toContain('a PSID is given for S9, and no disk here has that serial number');
  });

  test('gets no PSID that is none, and the message does not show it', () => {
    for (const psids of [{ S1: 'my-secret' }, { S1: 7 }, [PSID], 'my-secret'])
      expect(() => readSettings({ uuid: 'n' }, { psids })).toThrow(/: cannot erase: (?!.*my-secret)/);
  });
});
