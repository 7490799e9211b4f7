import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { judgeEvidence } from '../../evidence/judge.ts';
import { readPublicKey } from '../../evidence/sign.ts';
import { alterations } from './alterations.ts';

const text = readFileSync('test/fixtures/evidence/four-disks.jsonl', 'utf8');

// Of a run of test/live/erase.test.ts: a SATA, a SCSI, an NVMe disk and a virtio one with sectors of 4096 bytes, cleaned through the
// conductor. It is the format's example, and what was valid once stays so.
test('the evidence of four disks of a virtual machine is valid, by the key of its conductor', () => {
  const key = readPublicKey(readFileSync('test/fixtures/evidence/conductor.pem', 'utf8'));
  const judgement = judgeEvidence(text, { key });
  expect(judgement.faults).toEqual([]);
  expect(judgement.records.map(({ result }) => result)).toEqual(['erased', 'erased', 'erased', 'erased']);
});

const lines = text.trimEnd().split('\n');

test.each([...lines.keys()])('with any one thing in line %i altered or taken out it is not', (index) => {
  const line = lines[index] ?? '';
  const isReceipt = line.includes('ingot.receipt');
  // Of a record alone; of the receipt with the records that it is for.
  const others = isReceipt ? lines.slice(0, index) : [];
  const all = [...alterations(line)];
  expect(all.length).toBeGreaterThan(isReceipt ? 20 : 200);
  const passed = all.filter(
    ({ line: altered }) => judgeEvidence(`${[...others, altered].join('\n')}\n`).faults.length === 0,
  );
  expect(passed).toEqual([]);
});
