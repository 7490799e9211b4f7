import { claimOf } from './methods.ts';
import type { Attempt, EraseRecord } from './record.ts';

/** What a method is done with: without one such command that succeeded nobody has told the device anything. */
const TOOLS: readonly [prefix: string, program: string][] = [
  ['nvme-', 'nvme '],
  ['ata-', 'hdparm '],
  ['scsi-', 'sg_sanitize '],
  ['opal-', 'sedutil-cli '],
  ['discard', 'blkdiscard '],
  ['metadata', 'wipefs '],
];

type Demand = (holds: boolean, sentence: string) => void;

/** Our own overwriting says how much it wrote, and with what; of one that went on after an interruption, how much since then. */
function writtenFaults({ method, written, gaps }: Attempt, { disk }: EraseRecord, demand: Demand): void {
  if (!method.startsWith('overwrite-')) {
    demand(written === null, 'nothing is written by its method, and it says what was');
    return;
  }
  if (written === null) {
    demand(false, 'its method writes, and it does not say what');
    return;
  }
  const whole = written.passes.length * disk.size_bytes;
  const wentOn = gaps.some(({ position }) => position !== null);
  demand(written.passes.at(-1) === method.slice('overwrite-'.length), 'its last pass is not that of its method');
  demand(wentOn ? written.bytes <= whole && written.bytes > 0 : written.bytes === whole, 'its passes are not so long');
}

function doneFaults(attempt: Attempt, record: EraseRecord, demand: Demand): void {
  writtenFaults(attempt, record, demand);
  const program = TOOLS.find(([prefix]) => attempt.method.startsWith(prefix))?.[1];
  if (program === undefined) return;
  const isCalled = ({ command, exit_code: code }: Attempt['commands'][number]) =>
    code === 0 && command.startsWith(program);
  demand(attempt.commands.some(isCalled), `${program.trim()} is not among the commands that succeeded`);
}

function planFaults({ plan, attempts, settings, step }: EraseRecord, demand: Demand): void {
  for (const { method, category } of plan.methods)
    demand(claimOf(method)?.category === category, `its plan says ${category} of ${method}`);
  const order = attempts.every(({ method }, index) => plan.methods[index]?.method === method);
  demand(order, 'it was not carried out as it was planned');
  const first = plan.methods[0]?.category;
  if (step === 'erase_devices' && settings['agent_continue_if_secure_erase_failed'] === false)
    demand(
      plan.methods.every(({ category }) => category === first),
      'its plan has a weaker method, which its settings do not allow',
    );
}

/** @returns what contradicts itself in what was planned and done, whatever came of it */
export function attemptFaults(record: EraseRecord): string[] {
  const faults: string[] = [];
  const demand: Demand = (holds, sentence) => {
    if (!holds) faults.push(sentence);
  };
  planFaults(record, demand);
  for (const [index, attempt] of record.attempts.entries()) {
    const { method, category, outcome, started_at: started, ended_at: ended, gaps, why } = attempt;
    demand(claimOf(method)?.category === category, `it says ${category} of ${method}`);
    demand(started >= record.started_at && ended >= started && ended <= record.ended_at, 'its times are out of order');
    demand(index === record.attempts.length - 1 || outcome === 'failed', 'it went on after it was done');
    demand((why === null) === (outcome === 'done'), 'an attempt fails for a reason, and only then');
    // Those before the last one are told by the clock of another boot.
    demand((gaps.at(-1)?.resumed_at ?? started) <= ended, 'it went on after its end');
    for (const { position } of gaps)
      demand((position ?? 0) <= record.disk.size_bytes, 'it went on behind the end of the disk');
    if (outcome === 'done') doneFaults(attempt, record, demand);
  }
  return faults;
}
