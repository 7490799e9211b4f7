import { globSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { buildRamdisk } from '../../builder/build.ts';
import { openHost } from '../../builder/host/system.ts';
import { createProgress } from '../../cli/progress.ts';
import { judgeEvidence, type Judgement } from '../../evidence/judge.ts';
import { readPublicKey } from '../../evidence/sign.ts';
import type { MachineDisk } from '../../machine/arguments.ts';
import { conductMachine, type ConductedMachine } from '../lab/conducted.ts';

const PLATFORM = 'x86_64';
const MIB = 1024 ** 2;
const progress = createProgress('lines', { write: (text) => process.stdout.write(text) });
/** A sector of old data, that no erase leaves and no pattern of the agent's has. */
const OLD = Buffer.alloc(512, 'data of the last owner ');

const DISKS: readonly (Omit<MachineDisk, 'path'> & { bytes: number; isKept?: boolean })[] = [
  { kind: 'sata', serial: 'LAB-SATA', bytes: 40 * MIB },
  { kind: 'virtio', serial: 'LAB-VIRTIO-4KN', bytes: 48 * MIB, sectorBytes: 4096 },
  { kind: 'scsi', serial: 'LAB-SCSI', bytes: 40 * MIB },
  { kind: 'nvme', serial: 'LAB-NVME', bytes: 64 * MIB },
  { kind: 'virtio', serial: 'LAB-KEPT', bytes: 24 * MIB, isKept: true },
];

const controller = new AbortController();
let folder: string;
let lab: ConductedMachine | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-erase-live-'));
});
afterAll(async () => {
  controller.abort();
  await lab?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function makeDisks(): Promise<{ disk: MachineDisk; isKept: boolean }[]> {
  return Promise.all(
    DISKS.map(async ({ bytes, isKept = false, ...disk }) => {
      const path = join(folder, `${disk.serial}.raw`);
      await writeFile(path, Buffer.alloc(bytes, OLD));
      return { disk: { ...disk, path }, isKept };
    }),
  );
}

test('disks of every kind are erased through the conductor, the one of the skip list is not, and the evidence is valid', async () => {
  const host = await openHost();
  const ramdisk = join(folder, 'ramdisk');
  const { signal } = controller;
  await buildRamdisk({
    host,
    arch: PLATFORM,
    elements: ['agent'],
    compress: 'zstd:3',
    output: ramdisk,
    progress,
    signal,
  });
  const disks = await makeDisks();
  lab = await conductMachine({
    host,
    arch: PLATFORM,
    ramdisk,
    folder: join(folder, 'lab'),
    // All are smaller than a root disk has to be.
    parameters: ['ipa-disk-wait-attempts=1'],
    disks: disks.map(({ disk }) => disk),
    progress,
    signal,
  });
  const { api, ingot } = lab;
  const skip = [{ op: 'add', path: '/properties/skip_block_devices', value: [{ serial: 'LAB-KEPT' }] }];
  const patched = await fetch(`${api}/v1/nodes/${PLATFORM}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', 'x-openstack-ironic-api-version': '1.81' },
    body: JSON.stringify(skip),
  });
  expect(patched.status).toBe(200);
  const steps = [{ interface: 'deploy', step: 'erase_devices', args: {} }];
  await ingot('node', 'clean', PLATFORM, '--steps', JSON.stringify(steps));

  for (const {
    disk: { path, serial },
    isKept,
  } of disks) {
    const bytes = await readFile(path);
    const old = bytes.equals(Buffer.alloc(bytes.length, OLD));
    expect([serial, old, bytes.includes(OLD)]).toEqual([serial, isKept, isKept]);
  }
  const evidence = join(folder, 'lab', 'conductor', 'evidence');
  const [file = ''] = globSync(join(evidence, '*', '*.jsonl'));
  const text = await readFile(file, 'utf8');
  const key = readPublicKey(await readFile(join(evidence, 'conductor.pem'), 'utf8'));
  if (process.env['INGOT_KEEP_EVIDENCE'] !== undefined) {
    await writeFile(join(process.env['INGOT_KEEP_EVIDENCE'], 'four-disks.jsonl'), text);
    await writeFile(
      join(process.env['INGOT_KEEP_EVIDENCE'], 'conductor.pem'),
      await readFile(join(evidence, 'conductor.pem')),
    );
  }
  const judgement: Judgement = judgeEvidence(text, { key });
  expect(judgement.faults).toEqual([]);
  expect(judgement.receipts).toBe(1);
  const methods = Object.fromEntries(
    judgement.records.map(({ disk, attempts }) => [disk.serial, attempts.at(-1)?.method]),
  );
  expect(methods).toEqual({
    'LAB-SATA': 'overwrite-zeros',
    'LAB-VIRTIO-4KN': 'overwrite-zeros',
    'LAB-SCSI': 'overwrite-zeros',
    'LAB-NVME': 'nvme-format-user-data',
  });
  // QEMU's SATA disk says odd things of hidden sectors, for which its evidence claims no category.
  expect(judgement.records.map(({ result }) => result)).toEqual(Array.from({ length: 4 }, () => 'erased'));
});
