import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { judgeEvidence } from '../../evidence/judge.ts';
import { readPublicKey } from '../../evidence/sign.ts';

// Of a run of test/live/erase.test.ts: a SATA, a SCSI, an NVMe disk and a virtio one with sectors of 4096 bytes, cleaned through the
// conductor. It is the format's example, and what was valid once stays so.
test('the evidence of four disks of a virtual machine is valid, by the key of its conductor', () => {
  const text = readFileSync('test/fixtures/evidence/four-disks.jsonl', 'utf8');
  const key = readPublicKey(readFileSync('test/fixtures/evidence/conductor.pem', 'utf8'));
  const judgement = judgeEvidence(text, { key });
  expect(judgement.faults).toEqual([]);
  expect(judgement.records.map(({ result }) => result)).toEqual(['erased', 'erased', 'erased', 'erased']);
  expect(judgeEvidence(text.replace('LAB-SATA', 'LAB-SATB'), { key }).faults).not.toEqual([]);
});
