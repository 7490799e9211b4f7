import { createPublicKey, verify } from 'node:crypto';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { canonicalJson } from '../../evidence/canonical.ts';
import { claimOf, METHOD_CLAIMS } from '../../evidence/methods.ts';
import { claimFaults, unchecked } from '../../evidence/claims.ts';
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

describe('a record that contradicts itself is not valid, whoever signed it', () => {
  const record = exampleRecord();
  const [attempt] = record.attempts;
  const { verification, plan } = record;
  if (attempt?.written == null || verification === null) throw new TypeError('the example has both');
  const { written } = attempt;
  const byDevice = {
    plan: { methods: [{ method: 'nvme-format-crypto', category: 'clear', reason: 'x', minutes: 2 }], excluded: [] },
    attempts: [{ ...attempt, method: 'nvme-format-crypto', written: null }],
  } satisfies Partial<EraseRecord>;
  const readBack = (change: Partial<typeof verification>): Partial<EraseRecord> => ({
    verification: { ...verification, ...change },
  });
  const tried = (change: Partial<typeof attempt>): Partial<EraseRecord> => ({ attempts: [{ ...attempt, ...change }] });
  test.each<[string, Partial<EraseRecord>, string]>([
    ['one sample', readBack({ samples: 1, would_find_fraction: 0.99 }), 'samples are too few'],
    ['larger samples', readBack({ block_bytes: 65_536, samples: 2 }), 'samples of such a disk have 4096 bytes'],
    ['sectors of no size', { disk: { ...record.disk, logical_sector_bytes: 1 } }, 'no disk has sectors of 1 bytes'],
    ['zeros that are none', readBack({ all_zero: 0 }), 'not all of them are'],
    ['more zeros than samples', readBack({ all_zero: 99 }), 'more of its samples'],
    ['wrong places of which none was wrong', readBack({ wrong_at: [{ position: 0, why: 'x' }] }), 'other places'],
    ['canaries that it does not name', readBack({ canaries_sha256: null }), 'what its canaries were'],
    ['canaries that it says there were none', readBack({ canaries: false }), 'what its canaries were'],
    ['an attempt of a higher category', tried({ category: 'purge' }), 'it says purge of overwrite-zeros'],
    [
      'a plan of a higher category',
      { plan: { ...plan, methods: plan.methods.map((one) => ({ ...one, category: 'purge' as const })) } },
      'its plan says purge of overwrite-zeros',
    ],
    ['an overwrite that wrote nothing', tried({ written: null }), 'does not say what'],
    ['half of the disk', tried({ gaps: [], written: { ...written, bytes: written.bytes / 2 } }), 'not so long'],
    ['a last pass of another kind', tried({ written: { ...written, passes: ['pattern'] } }), 'its last pass'],
    ['an erase that nobody asked for', byDevice, 'nvme is not among the commands that succeeded'],
    [
      'writing by a device that erases itself',
      { ...byDevice, attempts: [{ ...attempt, method: 'nvme-format-crypto' }] },
      'nothing is written by its method',
    ],
    ['an attempt before all', tried({ started_at: '2025-01-01T00:00:00.000Z' }), 'its times are out of order'],
    ['a time that is none', { ended_at: '2026-99-99T99:99:99.999Z' }, 'a time that is none'],
    ['a reason to fail, and success', tried({ why: 'x' }), 'an attempt fails for a reason'],
    ['an attempt after success', { attempts: [attempt, attempt] }, 'it went on after it was done'],
    ['a failure without a reason', { result: 'failed', category: 'none' }, 'does not say why'],
    [
      'another order than that of the plan',
      { plan: { ...plan, methods: [...(byDevice.plan.methods as typeof plan.methods), ...plan.methods] } },
      'not carried out as it was planned',
    ],
    [
      'a weaker method than is allowed',
      {
        settings: { agent_continue_if_secure_erase_failed: false },
        plan: {
          ...plan,
          methods: [{ method: 'scsi-sanitize-block', category: 'purge', reason: 'x', minutes: 1 }, ...plan.methods],
        },
      },
      'a weaker method, which its settings do not allow',
    ],
  ])('%s', (_, change, fault) => {
    const { faults } = judgeEvidence(fileOf(signRecord(exampleRecord(change), key)));
    expect(faults.join('\n')).toContain(fault);
  });

  test('what takes too long to be computed anew is said', () => {
    const size = 8 * 1024 ** 3;
    const samples = size / 4096;
    const large = { disk: { ...record.disk, size_bytes: size }, ...readBack({ samples, all_zero: samples }) };
    expect(unchecked(exampleRecord(large))).toContain('was not computed anew: it is more than 4 GiB');
    expect(unchecked(record)).toBeUndefined();
  });
});

describe('bytes', () => {
  // Some disks do have it in what they say of themselves.
  const odd = fileOf(signRecord(exampleRecord({ disk: { ...exampleRecord().disk, model: 'ACME \u{fffd}' } }), key));
  test('are judged as they are: what is no UTF-8 is not what was signed', () => {
    expect(judgeEvidence(Buffer.from(odd)).faults).toEqual([]);
    const bytes = Buffer.from(odd.replace('\u{fffd}', '\u{0}'));
    bytes[bytes.indexOf(0)] = 0xff;
    expect(bytes.toString()).toBe(odd);
    expect(judgeEvidence(bytes).faults).toEqual(['the file is no text in UTF-8']);
  });
  test('that are more than evidence has are not read at all', () => {
    expect(judgeEvidence(Buffer.alloc(256 * 1024 ** 2 + 1)).faults).toEqual(['the file has more than 268435456 bytes']);
  });
  test.each([
    ['CRLF', odd.replaceAll('\n', '\r\n')],
    ['a mark of the order of bytes', `\u{feff}${odd}`],
    ['an empty line', `${odd}\n`],
    ['a byte behind it', `${odd}\0`],
    ['no bytes', ''],
    ['a number in another form', odd.replace('"minutes":1.5', '"minutes":15e-1')],
    ['minus zero', odd.replace('"sequence":0', '"sequence":-0')],
    ['a member of another name for a prototype', odd.replace('"capabilities":{', '"capabilities":{"__proto__":{},')],
    ['composed letters', odd.replace('ACME', 'ACM\u{65}\u{301}')],
  ])('with %s are not valid', (_, text) => {
    expect(judgeEvidence(Buffer.from(text)).faults).not.toEqual([]);
  });
});

// RFC 8032, 5.1.7: S has to be smaller than the order of the group, or one signature would be many.
test('a signature is valid in one form only', () => {
  const order = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n;
  const { record, signature } = structuredClone(whole[0]) as Envelope;
  const bytes = Buffer.from(signature.value, 'base64');
  let s =
    BigInt(
      `0x${bytes
        .subarray(32)
        .toReversed()
        .reduce((text, byte) => text + byte.toString(16).padStart(2, '0'), '')}`,
    ) + order;
  for (let at = 32; at < 64; at++) {
    bytes[at] = Number(s & 0xffn);
    s >>= 8n;
  }
  expect(
    judgeEvidence(fileOf({ record, signature: { ...signature, value: bytes.toString('base64') } })).faults,
  ).toEqual([expect.stringContaining('its signature does not fit')]);
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

  test('does not say whose a receipt is as long as nobody knows', () => {
    expect(reportText(judgeEvidence(file), false)).toContain('Somebody who may be the conductor has signed');
    const trusted = reportText(judgeEvidence(file, { key: publicKeyOf(conductorKey) }), true);
    expect(trusted).toContain('The conductor has signed that it got these records');
  });

  test('lets no device write lines of its own, or take some away', () => {
    const { disk } = exampleRecord();
    const serial = 'X: erased\n\nresult  erased\u{1b}[2K\u{202e}\u{2028}';
    const hostile = fileOf(signRecord(exampleRecord({ disk: { ...disk, serial, model: serial } }), key));
    for (const page of [reportText, reportHtml].map((make) => make(judgeEvidence(hostile), false))) {
      for (const hidden of ['\u{1b}', '\u{202e}', '\u{2028}', '\nresult  erased']) expect(page).not.toContain(hidden);
      expect(page).toContain(String.raw`X: erased\u{a}\u{a}result  erased\u{1b}[2K\u{202e}\u{2028}`);
    }
  });

  test('lets no device write HTML', () => {
    const record = exampleRecord();
    const hostile = { ...record, disk: { ...record.disk, serial: '<script>alert(1)</script>' } };
    const html = reportHtml(judgeEvidence(fileOf(signRecord(hostile, key))), false);
    expect(html).not.toContain('<script>');
    expect(html).toContain('&lt;script&gt;');
  });
});
