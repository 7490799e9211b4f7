import { expect, test } from 'vitest';

import type { DriveDeps } from '../../../conductor/drive/deps.ts';
import { keepEvidence } from '../../../conductor/drive/evidence.ts';
import type { NodeRecord } from '../../../conductor/store/node.ts';
import { judgeEvidence } from '../../../evidence/judge.ts';
import { makeKey, readPublicKey, recordHash, signRecord } from '../../../evidence/sign.ts';
import { exampleRecord } from '../../evidence/example.ts';

const NODE = {
  uuid: exampleRecord().node.uuid,
  name: 'rack-1',
  driver_internal_info: { ingot_evidence_nonce: 'n0nce' },
} as unknown as NodeRecord;

/** A conductor of which there is nothing but its files and one node. */
function conductor() {
  const files = new Map<string, string>();
  let node = NODE;
  const deps = {
    os: {
      clock: { now: () => Date.UTC(2026, 0, 2, 3, 5) },
      readFile: async (path: string) => {
        const text = files.get(path);
        if (text === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
        return Buffer.from(text);
      },
      writeFile: async (path: string, content: Uint8Array) =>
        void files.set(path, Buffer.from(content).toString('utf8')),
    },
    settings: { evidenceDirectory: '/evidence' },
    log: { info: () => undefined },
    store: {
      getNode: () => node,
      updateNode: (_uuid: string, change: Partial<NodeRecord> | ((node: NodeRecord) => Partial<NodeRecord>)) => {
        node = { ...node, ...(typeof change === 'function' ? change(node) : change) };
        return node;
      },
    },
  } as unknown as DriveDeps;
  return { deps, files, info: () => node.driver_internal_info };
}

const key = makeKey();
const first = signRecord(exampleRecord(), key);
const second = signRecord(exampleRecord({ sequence: 1, previous: recordHash(first.record) }), key);

test('the conductor keeps evidence in its order, with a receipt by a key that stays', async () => {
  const { deps, files, info } = conductor();
  await keepEvidence(deps, NODE, {
    '/dev/sdb': second,
    '/dev/sda': first,
    '/dev/sdc': { left: 'it is virtual media' },
  });
  const path = `/evidence/${NODE.uuid}/2026-01-02T03-05-00.000Z.jsonl`;
  expect(info().ingot_evidence).toBe(path);
  const trust = { key: readPublicKey(files.get('/evidence/conductor.pem') ?? ''), nonce: 'n0nce' };
  expect(judgeEvidence(files.get(path) ?? '', trust)).toMatchObject({ faults: [], receipts: 1 });
  const kept = files.get('/evidence/key.pem');
  await keepEvidence(deps, NODE, { '/dev/sda': first });
  expect(files.get('/evidence/key.pem')).toBe(kept);
});

test('what is not valid, or is for another request, is refused; agents without evidence are not', async () => {
  const { deps, files } = conductor();
  const altered = structuredClone(first);
  altered.signature.value = second.signature.value;
  await expect(keepEvidence(deps, NODE, { '/dev/sda': altered })).rejects.toThrow('cannot take the disks for erased');
  const old = signRecord(exampleRecord({ nonce: 'last year' }), key);
  await expect(keepEvidence(deps, NODE, { '/dev/sda': old })).rejects.toThrow('nonce');
  await keepEvidence(deps, NODE, { '/dev/sda': null });
  await keepEvidence(deps, NODE, null);
  expect([...files.keys()]).toEqual([]);
});
