import { createHash } from 'node:crypto';

import { canonicalJson } from '../../evidence/canonical.ts';
import type { EraseRecord } from '../../evidence/record.ts';
import { canary, samplesHash, samplingOf, wouldFind } from '../../evidence/samples.ts';

const KIB = 1024;

/** A record as the agent makes one; nothing was erased for it. */
export function exampleRecord(change: Partial<EraseRecord> = {}): EraseRecord {
  const seed = createHash('sha256').update('example').digest('hex');
  const sizeBytes = 128 * KIB;
  const sampling = samplingOf(sizeBytes, 512);
  const zeros = Buffer.alloc(sampling.blockBytes);
  const at = (second: number) => new Date(Date.UTC(2026, 0, 2, 3, 4, second)).toISOString();
  return {
    format: 'ingot.erase/1',
    sequence: 0,
    previous: null,
    step: 'erase_devices',
    nonce: 'n0nce',
    node: { uuid: '5a3e0e6c-0d4c-4c49-9f0a-9f6c5d8e0b11', serial: 'RACK-1', vendor: 'QEMU', product: 'Standard PC' },
    agent: { version: '0.1.0', boot_id: 'b00t' },
    disk: {
      path: '/dev/sda',
      model: 'QEMU HARDDISK',
      serial: 'DISK0',
      wwn: null,
      vendor: 'ATA',
      firmware: '2.5+',
      transport: 'sata',
      by_path: null,
      size_bytes: sizeBytes,
      logical_sector_bytes: 512,
      physical_sector_bytes: 512,
      rotational: true,
    },
    capabilities: { ata: { words: ['SECURITY'], frozen: false } },
    hidden: { hpa: 'none', dco: 'unknown' },
    settings: { agent_erase_devices_iterations: 1 },
    plan: {
      methods: [
        { method: 'overwrite-zeros', category: 'clear', reason: 'the disk offers nothing better', minutes: 1.5 },
      ],
      excluded: [{ method: 'ata-security-erase', why: 'the disk does not have it' }],
    },
    started_at: at(0),
    ended_at: at(9),
    attempts: [
      {
        method: 'overwrite-zeros',
        category: 'clear',
        started_at: at(1),
        ended_at: at(8),
        outcome: 'done',
        why: null,
        commands: [
          { command: 'blockdev --flushbufs /dev/sda', exit_code: 0, started_at: at(7), milliseconds: 12, output: '' },
        ],
        written: { passes: ['zeros'], bytes: sizeBytes, direct: true, block_bytes: 64 * KIB, unwritable: [] },
        gaps: [{ interrupted_after: at(2), resumed_at: at(3), position: 32 * KIB, how: 'the machine was restarted' }],
      },
    ],
    verification: {
      expectation: 'zeros',
      seed,
      block_bytes: sampling.blockBytes,
      samples: sampling.count,
      canaries: true,
      canaries_sha256: samplesHash(seed, sampling, (position) => canary(seed, position, sampling.blockBytes)),
      read_sha256: samplesHash(seed, sampling, () => zeros),
      all_zero: sampling.count,
      direct: true,
      wrong: 0,
      wrong_at: [],
      would_find_fraction: wouldFind(sampling.count),
    },
    result: 'erased',
    failure: null,
    category: 'clear',
    category_why: 'every addressable sector was overwritten',
    ...change,
  };
}

/** A file of evidence with these lines. */
export function fileOf(...envelopes: readonly unknown[]): string {
  return envelopes.map((envelope) => `${canonicalJson(envelope)}\n`).join('');
}
