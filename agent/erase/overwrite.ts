import type { Attempt } from '../../evidence/record.ts';
import { AgentError } from '../api/errors.ts';
import type { AgentOs, BlockDevice } from '../os/door.ts';
import { type Journal, journalPosition, readJournal, writeJournal } from './journal.ts';
import { passesOf } from './methods.ts';
import type { PerformContext } from './perform.ts';
import { verifyDisk } from './verify.ts';
import { BLOCK_BYTES, writePass } from './write-pass.ts';

/** What a power cut costs at most, milliseconds. */
const JOURNAL_EVERY_MS = 10_000;
/** Of an erase that is interrupted again and again the last ones are told. */
const MOST_GAPS = 3;

type Gaps = Attempt['gaps'];

/** What an overwrite needs of an erase. */
type Overwriting = Pick<PerformContext, 'settings' | 'seed' | 'nonce' | 'canaries' | 'signal' | 'progress'> & {
  disk: { disk: { serial: string | null } };
  os: Pick<AgentOs, 'clock'>;
};

function toGaps(journal: Journal): Gaps {
  return journal.gaps.map(([after, at, position]) => ({
    interrupted_after: after,
    resumed_at: at,
    position,
    how: 'the machine lost its power or was restarted; the note in the disk’s last sector said how far it was',
  }));
}

/** Passes of patterns and of zeros, as the note has them. */
function namedPasses(settings: PerformContext['settings']): string {
  const passes = passesOf(settings);
  const zeros = passes.filter((kind) => kind === 'zeros').length;
  return `${passes.length - zeros}+${zeros}`;
}

/** @returns how far an earlier, interrupted erase of the same request has come, with this gap among its gaps */
export async function findInterrupted(
  { nonce, disk, os, settings }: Pick<Overwriting, 'nonce' | 'disk' | 'os' | 'settings'>,
  device: BlockDevice,
): Promise<Journal | undefined> {
  if (nonce === null) return undefined;
  const journal = await readJournal(device, nonce, disk.disk.serial);
  if (journal === undefined || journal.of !== namedPasses(settings)) return undefined;
  const resumedAt = new Date(os.clock.now()).toISOString();
  const gaps = [...journal.gaps, [journal.at, resumedAt, journal.position] as [string, string, number]];
  return { ...journal, gaps: gaps.slice(-MOST_GAPS) };
}

/** Zeros or a pattern over the whole disk, as often as the operator wants it, from where an interrupted one was. */
export async function overwriteDisk(
  context: Overwriting,
  device: BlockDevice,
  start: Journal | undefined,
): Promise<Pick<Attempt, 'written' | 'gaps'>> {
  const { settings, seed, nonce, disk, os, signal, progress } = context;
  const passes = passesOf(settings);
  const serial = disk.disk.serial;
  const now = () => new Date(os.clock.now()).toISOString();
  const unwritable: { position: number; bytes: number }[] = [];
  const fresh = { of: namedPasses(settings), pass: 0, position: 0, at: now(), canaries: context.canaries, gaps: [] };
  const journal: Journal = start ?? fresh;
  const gaps = toGaps(journal);
  let written = 0;
  const end = nonce === null ? device.sizeBytes : journalPosition(device);
  for (let pass = journal.pass; pass < passes.length; pass++) {
    const kind = passes[pass] ?? 'zeros';
    const begin = pass === journal.pass ? journal.position - (journal.position % BLOCK_BYTES) : 0;
    let keptAt = os.clock.monotonic();
    const keep = async (position: number): Promise<void> => {
      // Of places that do not take writes only this process knows: after a power cut they have to be found anew.
      if (nonce === null || unwritable.length > 0) return;
      await device.flush();
      await writeJournal(device, nonce, serial, { ...journal, pass, position, at: now() });
      keptAt = os.clock.monotonic();
    };
    await keep(begin);
    const bad = await writePass(device, {
      kind,
      pass,
      seed,
      from: begin,
      to: end,
      signal,
      onPosition: async (position, sound) => {
        progress((pass + position / device.sizeBytes) / passes.length, `${kind} ${pass + 1}/${passes.length}`);
        if (os.clock.monotonic() - keptAt >= JOURNAL_EVERY_MS) await keep(sound);
      },
    });
    unwritable.push(...bad);
    await device.flush();
    const isLast = pass === passes.length - 1;
    if (kind === 'pattern' && !isLast) {
      // A disk that has fewer sectors than it says, or keeps them elsewhere, shows it now: zeros all look alike.
      const found = await verifyDisk(device, {
        expectation: 'pattern',
        seed,
        pass,
        share: 0,
        canaries: false,
        to: end,
      });
      if (found.wrong > 0)
        throw new AgentError(
          'BlockDeviceEraseError',
          `cannot erase ${device.path}: ${found.wrong} of ${found.samples} samples do not read back as they were written: ${found.wrong_at[0]?.why ?? ''}`,
        );
    }
    // The last sector, where the note was, comes last.
    if (isLast && end < device.sizeBytes) {
      const last = await writePass(device, {
        kind,
        pass,
        seed,
        from: end,
        to: device.sizeBytes,
        signal,
        onPosition: async () => undefined,
      });
      unwritable.push(...last);
      await device.flush();
    }
    written += device.sizeBytes - begin;
  }
  return {
    written: {
      passes: [...passes],
      bytes: written,
      direct: device.isDirect?.() ?? false,
      block_bytes: BLOCK_BYTES,
      unwritable,
    },
    gaps,
  };
}
