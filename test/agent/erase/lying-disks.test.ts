import { describe, expect, test } from 'vitest';

import { FIRMWARES } from '../../fakes/disk-vices.ts';
import { type Disk, erasableMachine, type FakeDisk } from '../../fakes/erasable-machine.ts';
import { eraseFakes, eraseMachine } from '../../fakes/erase-run.ts';

const KINDS: readonly FakeDisk[] = [
  { kind: 'sata', abilities: ['security'] },
  { kind: 'sata', abilities: ['security', 'sanitize'] },
  { kind: 'sata', abilities: [] },
  { kind: 'sas', abilities: ['sanitize', 'crypto'] },
  { kind: 'sas', abilities: [] },
  { kind: 'nvme', abilities: ['format', 'crypto'] },
  { kind: 'nvme', abilities: ['sanitize'] },
  { kind: 'nvme', abilities: ['format'], sectorBytes: 4096 },
  { kind: 'virtio', discard: true },
];

describe.each(FIRMWARES)('a disk whose firmware is "%s"', (firmware) => {
  test.each([false, true])('is never said to be erased while its data is there (falling back: %s)', async (mayFall) => {
    await using outcome = await eraseFakes(
      KINDS.map((disk) => ({ ...disk, firmware })),
      { info: { agent_continue_if_secure_erase_failed: mayFall, disk_erasure_concurrency: 4 } },
    );
    expect(outcome.faults).toEqual([]);
    const wrong = await Promise.all(
      outcome.disks.map(async (disk) => {
        const record = outcome.records.find(({ disk: { path } }) => path === disk.path);
        if (record?.result === 'erased') return (await outcome.left(disk)) > 0 ? `${disk.path} is not erased` : [];
        if (record !== undefined && record.category !== 'none') return `${disk.path} claims ${record.category}`;
        return outcome.failure.includes(disk.path) ? [] : `nothing is said of ${disk.path}`;
      }),
    );
    expect(wrong.flat()).toEqual([]);
    // An honest disk is erased in each case; one that keeps nothing, or half, or goes away, in none.
    const isHopeless = ['ignores-writes', 'vanishes', 'half-its-size'].includes(firmware);
    const erased = outcome.records.filter(({ result }) => result === 'erased').length;
    expect(erased).toBeLessThanOrEqual(isHopeless ? 0 : KINDS.length);
    expect(erased).toBeGreaterThanOrEqual(firmware === 'honest' ? KINDS.length : 0);
  });

  test('is not said to be erased by express, unless it is said that data is left', async () => {
    // Of these it takes more than the metadata.
    await using outcome = await eraseFakes(
      KINDS.filter(({ kind }) => kind === 'nvme' || kind === 'virtio').map((disk) => ({ ...disk, firmware })),
      { step: 'erase_devices_express' },
    );
    expect(outcome.faults).toEqual([]);
    const claiming = outcome.records.filter(({ category }) => category !== 'none').map(({ disk }) => disk.path);
    const left = await Promise.all(
      outcome.disks.filter(({ path }) => claiming.includes(path)).map((disk) => outcome.left(disk)),
    );
    expect(left).toEqual(claiming.map(() => 0));
  });
});

test('a clock that somebody sets back in the middle does not make the evidence contradict itself', async () => {
  await using machine = await erasableMachine(KINDS);
  const { os } = machine;
  let told = 0;
  // An hour back, each time that anybody asks.
  const clock = { ...os.clock, now: () => os.clock.now() - ++told * 3_600_000 };
  const outcome = await eraseMachine({ ...machine, os: { ...os, clock } });
  expect(outcome.faults).toEqual([]);
  expect(outcome.records).toHaveLength(KINDS.length);
});

describe('what is done about it', () => {
  test('an erase that did nothing is followed by a weaker one only where the operator allows it, and loudly', async () => {
    const disk: FakeDisk = { kind: 'nvme', abilities: ['format'], firmware: 'does-nothing' };
    await using strict = await eraseFakes([disk]);
    expect(strict.failure).toContain('what was there before is there still');
    expect(strict.records[0]?.attempts.map(({ method }) => method)).toEqual(['nvme-format-user-data']);
    await using lax = await eraseFakes([disk], { info: { agent_continue_if_secure_erase_failed: true } });
    expect(lax.failure).toBe('');
    expect(lax.records[0]?.attempts.map(({ method, outcome }) => `${method} ${outcome}`)).toEqual([
      'nvme-format-user-data failed',
      'overwrite-zeros done',
    ]);
    expect(lax.log).toContain('FALLING BACK');
  });

  test('a frozen disk is explained, and overwritten only where the operator allows it', async () => {
    const disk: FakeDisk = { kind: 'sata', abilities: ['security'], firmware: 'frozen' };
    await using strict = await eraseFakes([disk]);
    expect(strict.failure).toContain('frozen');
    expect(strict.failure).toContain('plug it in again');
    expect(strict.records).toEqual([]);
    await using lax = await eraseFakes([disk], { info: { agent_continue_if_secure_erase_failed: true } });
    expect(lax.records[0]).toMatchObject({ result: 'erased', category: 'clear' });
  });

  test.each(['honest', 'fails-half-way', 'half', 'does-nothing'] as const)(
    'the password of an ATA disk that is %s is cleared again',
    async (firmware) => {
      await using outcome = await eraseFakes([{ kind: 'sata', abilities: ['security'], firmware }]);
      expect(outcome.disks[0]?.password).toBeUndefined();
      expect(outcome.calls.join('\n')).toContain('--security-set-pass NULL');
    },
  );

  test('a disk that keeps its password is an error that says what it is', async () => {
    await using outcome = await eraseFakes([{ kind: 'sata', abilities: ['security'], firmware: 'keeps-password' }]);
    expect(outcome.failure).toContain('cannot clear the password of /dev/sda: it is NULL');
  });

  test('a disk that a power cut left locked in a Security Erase is unlocked and erased, and the evidence says so', async () => {
    const disk: FakeDisk = { kind: 'sata', abilities: ['security'], lockedWith: 'NULL' };
    await using outcome = await eraseFakes([disk]);
    expect(outcome.failure).toBe('');
    expect(outcome.faults).toEqual([]);
    expect(outcome.records[0]).toMatchObject({ result: 'erased', attempts: [{ gaps: [{ position: null }] }] });
    expect(outcome.records[0]?.attempts[0]?.gaps[0]?.how).toContain('Security Erase that did not finish');
    expect(outcome.disks[0]?.password).toBeUndefined();
    expect(await outcome.left(outcome.disks[0] as Disk)).toBe(0);
  });

  test('a disk that somebody else has locked stays locked, and is named', async () => {
    await using outcome = await eraseFakes([{ kind: 'sata', abilities: ['security'], lockedWith: 's3cret' }]);
    expect(outcome.failure).toContain('/dev/sda');
    expect(outcome.records).toEqual([]);
    expect(outcome.disks[0]).toMatchObject({ password: 's3cret', isLocked: true });
  });

  test('a disk that does not say how far it is does not seem to wait', async () => {
    await using outcome = await eraseFakes([{ kind: 'nvme', abilities: ['format'] }]);
    expect(outcome.progress[0]).toBe('nvme0n1 nvme-format-user-data');
  });

  test('a dry run unlocks nothing', async () => {
    const disk: FakeDisk = { kind: 'sata', abilities: ['security'], lockedWith: 'NULL' };
    await using outcome = await eraseFakes([disk], { args: { dry_run: true } });
    expect(outcome.disks[0]).toMatchObject({ password: 'NULL', isLocked: true });
  });

  test('a sanitize that a power cut left running is waited for, told, and done again to be proved', async () => {
    const machine = await erasableMachine([{ kind: 'nvme', abilities: ['sanitize'] }]);
    await using _ = machine;
    const [disk] = machine.disks;
    if (disk === undefined) throw new Error('there is one');
    disk.sanitizing = 5;
    disk.sanitizeStatus = 2;
    const outcome = await eraseMachine(machine, { args: { nonce: 'n0nce' } });
    expect(outcome.failure).toBe('');
    expect(outcome.records).toMatchObject([{ result: 'erased', category: 'purge', nonce: 'n0nce' }]);
    expect(outcome.records[0]?.attempts[0]?.gaps[0]?.how).toContain('at a sanitize already');
    expect(outcome.progress[0]).toContain('nvme0n1 is at a sanitize from before');
    expect(outcome.faults).toEqual([]);
  });

  test('read-only disks are an error, or left alone where the operator says so', async () => {
    const disks: FakeDisk[] = [{ kind: 'virtio', readOnly: true }, { kind: 'virtio' }];
    await using strict = await eraseFakes(disks);
    expect(strict.failure).toContain('/dev/vda is read-only');
    expect(strict.records.map(({ disk }) => disk.path)).toEqual(['/dev/vdb']);
    await using lax = await eraseFakes(disks, { info: { agent_erase_skip_read_only: true } });
    expect(lax.failure).toBe('');
    expect(await lax.left(lax.disks[0] as Disk)).toBe(512);
  });

  test('a member of an array that nobody has started is no success, for its data would stay', async () => {
    await using outcome = await eraseFakes([{ kind: 'virtio', lsblk: { fstype: 'linux_raid_member' } }]);
    expect(outcome.failure).toContain('a software RAID that is not started');
    expect(await outcome.left(outcome.disks[0] as Disk)).toBe(512);
  });

  test('a format of one namespace that takes another one in its place is no erase of the first', async () => {
    const namespaces: FakeDisk[] = [
      { kind: 'nvme', abilities: ['format'], eraseGoesTo: 'nvme1n1' },
      { kind: 'nvme', abilities: ['format'] },
    ];
    await using outcome = await eraseFakes(namespaces);
    expect(outcome.records.map(({ disk: { path }, result }) => `${path} ${result}`)).toEqual([
      '/dev/nvme0n1 failed',
      '/dev/nvme1n1 erased',
    ]);
  });

  test('a discard that reads as zeros is no erase of any category, for the data may be in the flash still', async () => {
    const disk: FakeDisk = { kind: 'virtio', discard: true };
    await using hides = await eraseFakes([{ ...disk, firmware: 'trims-the-map' }], { args: { method: 'discard' } });
    expect(hides.records[0]).toMatchObject({ result: 'erased', category: 'none' });
    await using nothing = await eraseFakes([{ ...disk, firmware: 'does-nothing' }], { args: { method: 'discard' } });
    expect(nothing.records[0]).toMatchObject({ result: 'failed', category: 'none' });
  });

  test('a device that no longer comes any further is told nothing else', async () => {
    await using outcome = await eraseFakes(
      [{ kind: 'sas', abilities: ['sanitize', 'crypto'], firmware: 'never-ends' }],
      {
        info: { agent_continue_if_secure_erase_failed: true },
      },
    );
    expect(outcome.records[0]?.attempts.map(({ method }) => method)).toEqual(['scsi-sanitize-block']);
    expect(outcome.failure).toContain('takes no other command until it has lost its power');
  });

  test('a dry run says what would be done, and does nothing', async () => {
    await using outcome = await eraseFakes([{ kind: 'virtio' }, { kind: 'nvme', abilities: ['format'] }], {
      args: { dry_run: true },
    });
    expect(outcome.records).toEqual([]);
    expect(outcome.log).toContain('/dev/nvme0n1: nvme-format-user-data (2 min: the strongest that the disk has)');
    for (const disk of outcome.disks) expect(await outcome.left(disk)).toBe(512);
  });
});
