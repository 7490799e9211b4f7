import { createPublicKey, verify } from 'node:crypto';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { canonicalJson } from '../../evidence/canonical.ts';
import { claimOf, METHOD_CLAIMS } from '../../evidence/methods.ts';
import { claimFaults } from '../../evidence/claims.ts';
import { judgeEvidence } from '../../evidence/judge.ts';
import type { Envelope, EraseRecord, Receipt } from '../../evidence/record.ts';
import { reportHtml, reportText } from '../../evidence/report.ts';
import { makeKey, publicKeyOf, publicKeyPem, readPublicKey, recordHash, signRecord } from '../../evidence/sign.ts';
import { exampleRecord, fileOf } from './example.ts';

const key = makeKey();
const publicKey = publicKeyOf(key);
const conductorKey = makeKey();

function chain(count: number): Envelope[] {
  const envelopes: Envelope[] = [];
  for (let sequence = 0; sequence < count; sequence++) {
    const before = envelopes.at(-1)?.record;
    envelopes.push(signRecord(exampleRecord({ sequence, previous: before ? recordHash(before) : null }), key));
  }
  return envelopes;
}

function receipt(envelopes: readonly Envelope[], change: Partial<Receipt> = {}): Envelope {
  const { node, nonce } = exampleRecord();
  return signRecord(
    {
      format: 'ingot.receipt/1',
      node_uuid: node.uuid,
      nonce,
      received_at: '2026-01-02T03:05:00.000Z',
      agent_key: publicKey,
      records: envelopes.map(({ record }) => recordHash(record)),
      ...change,
    },
    conductorKey,
  );
}

const whole = chain(2);
const file = fileOf(...whole, receipt(whole));

describe('evidence', () => {
  test('as the agent and the conductor signed it is valid', () => {
    const judgement = judgeEvidence(file, { key: publicKeyOf(conductorKey), nonce: 'n0nce' });
    expect(judgement.faults).toEqual([]);
    expect(judgement).toMatchObject({ receipts: 1, keys: [publicKey, publicKeyOf(conductorKey)] });
    expect(judgement.records).toHaveLength(2);
    expect(judgeEvidence(fileOf(...whole), { key: publicKey }).faults).toEqual([]);
  });

  test('can be checked by anybody who knows Ed25519', () => {
    const [{ record, signature } = receipt([])] = whole;
    const pem = createPublicKey(publicKeyPem(signature.public_key));
    const bytes = Buffer.from(canonicalJson(record));
    expect(verify(null, bytes, pem, Buffer.from(signature.value, 'base64'))).toBe(true);
    expect(readPublicKey(publicKeyPem(publicKey))).toBe(publicKey);
    expect(readPublicKey('nonsense')).toBeUndefined();
  });
});

type Path = (string | number)[];
function paths(value: unknown, path: Path = []): Path[] {
  if (value === null || typeof value !== 'object') return [path];
  const below = Object.entries(value).flatMap(([name, item]) => paths(item, [...path, name]));
  return path.length === 0 ? below : [path, ...below];
}

function at(root: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], root);
}

function changed(root: unknown, path: Path, change: (parent: Record<string, unknown>, name: string) => void): unknown {
  const copy = structuredClone(root);
  change(at(copy, path.slice(0, -1)) as Record<string, unknown>, String(path.at(-1)));
  return copy;
}

describe('with any one field altered evidence is not valid', () => {
  const envelopes = [...whole, receipt(whole)];
  // Without its last line a file is a shorter one, and as good as it says.
  const all = paths(envelopes).filter(({ length }) => length > 1);

  test('whatever else is put in its place', () => {
    fc.assert(
      fc.property(fc.constantFrom(...all), fc.jsonValue(), (path, value) => {
        fc.pre(canonicalJson(at(envelopes, path)) !== JSON.stringify(value));
        const plain = JSON.parse(JSON.stringify(value)) as unknown;
        fc.pre(canonicalJson(at(envelopes, path)) !== canonicalJson(plain));
        const altered = changed(envelopes, path, (parent, name) => (parent[name] = plain)) as unknown[];
        expect(judgeEvidence(fileOf(...altered)).faults).not.toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  test.each(all)('%j', (...path) => {
    const alterations: ((parent: Record<string, unknown>, name: string) => void)[] = [
      (parent, name) => (Array.isArray(parent) ? parent.splice(Number(name), 1) : delete parent[name]),
      (parent, name) => (parent[name] = typeof parent[name] === 'number' ? parent[name] + 1 : [parent[name]]),
      (parent, name) => (parent[name] = typeof parent[name] === 'string' ? `${parent[name]} ` : null),
      (parent, name) => {
        const value = parent[name];
        if (typeof value === 'string') parent[name] = value.slice(0, -1) + (value.endsWith('x') ? 'y' : 'x');
        else parent[name] = typeof value === 'boolean' ? !value : 'x';
      },
    ];
    const before = canonicalJson(envelopes);
    for (const alteration of alterations) {
      const altered = changed(envelopes, path, alteration) as unknown[];
      if (canonicalJson(altered) === before) continue;
      expect(judgeEvidence(fileOf(...altered)).faults).not.toEqual([]);
    }
  });

  test('nor with any one byte of the file', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: file.length - 1 }), fc.integer({ min: 1, max: 127 }), (position, other) => {
        const bytes = Buffer.from(file);
        fc.pre(bytes[position] !== other);
        bytes[position] = other;
        expect(judgeEvidence(bytes.toString('utf8')).faults).not.toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('evidence is not valid', () => {
  const faultsOf = (text: string, trust = {}) => judgeEvidence(text, trust).faults.join('\n');
  test.each([
    ['cut', file.slice(0, -30), 'does not end with a whole line'],
    ['empty', '', 'does not end'],
    ['without a record', fileOf(receipt([])), 'no record of an erase'],
    ['without its middle', fileOf(chain(3)[0], chain(3)[2]), 'record 1 is missing'],
    ['out of order', fileOf(whole[1], whole[0]), 'out of order'],
    ['in another form', `${JSON.stringify(whole[0], null, 1).replaceAll('\n', '')}\n`, 'canonical'],
    ['with a member twice', file.replace('{"record":{', '{"record":{"step":"x",'), 'canonical'],
    ['for a receipt that names more', fileOf(whole[0], receipt(whole)), 'is not in the file'],
    ['for a receipt of another node', fileOf(...whole, receipt(whole, { node_uuid: 'other' })), 'another node'],
    [
      'for a receipt with another key',
      fileOf(...whole, receipt(whole, { agent_key: publicKeyOf(makeKey()) })),
      "another agent's key",
    ],
  ])('%s', (_, text, fault) => {
    expect(faultsOf(text)).toContain(fault);
  });

  test('by another key, or with another nonce', () => {
    expect(faultsOf(fileOf(...whole), { key: publicKeyOf(makeKey()) })).toContain('neither signed with the given key');
    expect(faultsOf(file, { key: publicKeyOf(makeKey()) })).toContain('the receipt is not signed');
    expect(faultsOf(file, { nonce: 'other' })).toContain('its nonce is n0nce');
  });

  const good = exampleRecord();
  const [attempt, verification] = [good.attempts[0], good.verification];
  if (attempt === undefined || verification === null) throw new TypeError('the example has both');
  const other = { ...verification, read_sha256: '0'.repeat(64) };
  test.each<[string, Partial<EraseRecord>, string]>([
    ['nothing was read back', { verification: null }, 'nothing was read back'],
    ['samples were wrong', { verification: { ...verification, wrong: 1 } }, 'samples were wrong'],
    ['samples are no zeros', { verification: other }, 'their hash is of something else'],
    [
      'canaries are not of the seed',
      { verification: { ...verification, canaries_sha256: '1'.repeat(64) } },
      'not those of its seed',
    ],
    ['there are too many samples', { verification: { ...verification, samples: 10 ** 6 } }, 'cannot be of a disk'],
    ['the share is another', { verification: { ...verification, would_find_fraction: 0 } }, 'not that of their number'],
    ['it claims more than its method gives', { category: 'purge' }, 'cannot give that category'],
    ['the attempt failed', { attempts: [{ ...attempt, outcome: 'failed' }] }, 'is not done'],
    ['there was no attempt', { attempts: [] }, 'is not done'],
    ['it is read back otherwise', { verification: { ...other, expectation: 'changed' } }, 'as its method asks'],
    ['it was not planned', { plan: { methods: [], excluded: [] } }, 'not in its plan'],
    ['a failure is named', { failure: 'x' }, 'names a failure'],
    ['a failure claims a category', { result: 'failed', failure: 'x' }, 'claims a category'],
    ['nobody knows the method', { attempts: [{ ...attempt, method: 'prayer' }] }, 'nobody knows'],
    ['it ends before it begins', { ended_at: '2025-01-01T00:00:00.000Z' }, 'ends before'],
    [
      'its last attempt left sectors',
      {
        attempts: [
          {
            ...attempt,
            written: { passes: [], bytes: 0, direct: true, block_bytes: 1, unwritable: [{ position: 0, bytes: 512 }] },
          },
        ],
      },
      'could not be written',
    ],
  ])('although its signature is good: %s', (_, change, fault) => {
    expect(faultsOf(fileOf(signRecord(exampleRecord(change), key)))).toContain(fault);
  });

  test('when what was read are the canaries', () => {
    const canaries = {
      ...verification,
      expectation: 'changed' as const,
      read_sha256: verification.canaries_sha256 ?? '',
    };
    const record = exampleRecord({
      plan: {
        methods: [{ method: 'nvme-format-user-data', category: 'clear', reason: 'x', minutes: null }],
        excluded: [],
      },
      attempts: [{ ...attempt, method: 'nvme-format-user-data', written: null }],
      verification: canaries,
    });
    expect(faultsOf(fileOf(signRecord(record, key)))).toContain('nothing was erased');
  });
});

test('evidence is not valid when its witnesses say that data is there, or are more than there are', () => {
  const { verification } = exampleRecord();
  const faultsWith = (witnesses: { samples: number; held: number; unchanged: number }) =>
    claimFaults(exampleRecord({ verification: verification && { ...verification, witnesses } }));
  expect(faultsWith({ samples: 64, held: 60, unchanged: 0 })).toEqual([]);
  expect(faultsWith({ samples: 64, held: 60, unchanged: 1 })).toEqual([
    'it says "erased", but blocks hold what they held before',
  ]);
  expect(faultsWith({ samples: 64, held: 65, unchanged: 0 })).toEqual([
    'more of its witnesses say something than there are',
  ]);
});

test('no method claims more than Clear unless the device erases all of its medium by itself', () => {
  const purging = Object.entries(METHOD_CLAIMS).filter(([, { category }]) => category === 'purge');
  expect(purging.every(([name]) => /sanitize|opal/.test(name))).toBe(true);
  expect(claimOf('toString')).toBeUndefined();
});

describe('a report', () => {
  test('says first whether it is valid, then what happened to each disk', () => {
    const text = reportText(judgeEvidence(file, { key: publicKeyOf(conductorKey) }), true);
    expect(text).toContain('The signatures are valid, and lead to the key that was given.');
    expect(text).toContain('ATA QEMU HARDDISK, serial DISK0: erased');
    expect(text).toContain('NIST SP 800-88 clear');
    expect(text).toContain('interrupted   the machine was restarted');
    expect(reportText(judgeEvidence(file.slice(0, -9)), false)).toContain('NOT VALID');
  });

  test('does not call a disk erased of which the metadata alone was', () => {
    const [attempt] = exampleRecord().attempts;
    if (attempt === undefined) throw new Error('there is one');
    const record = exampleRecord({ attempts: [{ ...attempt, method: 'metadata' }] });
    const text = reportText(judgeEvidence(fileOf(signRecord(record, key))), false);
    expect(text).toContain('serial DISK0: metadata erased, DATA LEFT');
  });

  test('lets no device write HTML', () => {
    const record = exampleRecord();
    const hostile = { ...record, disk: { ...record.disk, serial: '<script>alert(1)</script>' } };
    const html = reportHtml(judgeEvidence(fileOf(signRecord(hostile, key))), false);
    expect(html).not.toContain('<script>');
    expect(html).toContain('&lt;script&gt;');
  });
});
