import { createHash, randomBytes } from 'node:crypto';
import { globSync } from 'node:fs';
import { copyFile, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { buildRamdisk } from '../../builder/build.ts';
import { openHost } from '../../builder/host/system.ts';
import { createProgress } from '../../cli/progress.ts';
import { judgeEvidence } from '../../evidence/judge.ts';
import type { EraseRecord } from '../../evidence/record.ts';
import { samplePositions } from '../../evidence/samples.ts';
import { readPublicKey } from '../../evidence/sign.ts';
import type { MachineDisk } from '../../machine/arguments.ts';
import { alterations } from '../evidence/alterations.ts';
import { conductMachine, type ConductedMachine } from '../lab/conducted.ts';

const PLATFORM = 'x86_64';
const MIB = 1024 ** 2;
const SECTOR = 512;
const progress = createProgress('lines', { write: (text) => process.stdout.write(text) });
/** Places that are read of each disk from the host's side. Another seed each time; a failure says which. */
const SEED = process.env['INGOT_SAMPLE_SEED'] ?? randomBytes(32).toString('hex');
const SAMPLES = 256;

type LabDisk = Omit<MachineDisk, 'path'> & { bytes: number; keptFor?: string };
const SLOW: LabDisk = { kind: 'virtio', serial: 'LAB-VIRTIO-4KN', bytes: 24 * MIB, sectorBytes: 4096 };
const DISKS: readonly LabDisk[] = [
  { kind: 'sata', serial: 'LAB-SATA', bytes: 2 * MIB },
  { kind: 'sata', serial: 'LAB-VMFS', bytes: 8 * MIB, keptFor: 'has a shared VMFS file system' },
  SLOW,
  { kind: 'scsi', serial: 'LAB-SCSI', bytes: 2 * MIB },
  { kind: 'nvme', serial: 'LAB-NVME', bytes: 2 * MIB },
  { kind: 'scsi', serial: 'LAB-READ-ONLY', bytes: 8 * MIB, readOnly: true, keptFor: 'is read-only' },
  { kind: 'virtio', serial: 'LAB-SKIPPED', bytes: 8 * MIB, keptFor: '' },
];
const ERASED = DISKS.filter(({ keptFor }) => keptFor === undefined);
/** How fast the slow disk is until the power goes: the agent makes its first note after ten seconds. */
const SLOW_BYTES_PER_SECOND = 1.5 * MIB;
/** VMware publishes no format; libblkid `vmfs.c`: magic 0xc001d00d at 1 MiB. */
const VMFS = { at: MIB, bytes: Buffer.from('0dd001c0', 'hex') };

const controller = new AbortController();
let folder: string;
let lab: ConductedMachine;
const slow: MachineDisk = { ...SLOW, path: '', writeBytesPerSecond: SLOW_BYTES_PER_SECOND };
const before = new Map<string, string>();

const pathOf = (serial: string): string => join(folder, `${serial}.raw`);
const hashOf = async (serial: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(pathOf(serial)))
    .digest('hex');

/** Old data: each sector says whose it is, and no two of all disks are alike. */
function oldSector(serial: string, position: number): Buffer {
  return Buffer.alloc(SECTOR, `data of the last owner of ${serial}, byte ${position}; `);
}

async function fill({ serial, bytes }: Pick<LabDisk, 'serial' | 'bytes'>): Promise<void> {
  const file = await open(pathOf(serial), 'w');
  for (let position = 0; position < bytes; position += MIB) {
    const sectors = Array.from({ length: MIB / SECTOR }, (_, index) => oldSector(serial, position + index * SECTOR));
    await file.write(Buffer.concat(sectors), 0, MIB, position);
  }
  if (serial === 'LAB-VMFS') await file.write(VMFS.bytes, 0, VMFS.bytes.length, VMFS.at);
  await file.close();
}

/** Random places of a disk's file. @returns those that do not read as zeros, for people */
async function wrongSamples({ serial, bytes }: LabDisk): Promise<string[]> {
  const block = Buffer.alloc(4096);
  const file = await open(pathOf(serial), 'r');
  const wrong: string[] = [];
  for (const position of samplePositions(SEED, { sizeBytes: bytes, blockBytes: 4096, count: SAMPLES })) {
    await file.read(block, 0, 4096, position);
    if (!block.equals(Buffer.alloc(4096)))
      wrong.push(
        `${serial} at byte ${position}: ${block.subarray(0, 48).toString('latin1')} (INGOT_SAMPLE_SEED=${SEED})`,
      );
  }
  await file.close();
  return wrong;
}

/** How far the note in a disk's last sector says that an overwrite is; undefined where there is none. */
async function notedPosition({ serial, bytes, sectorBytes = SECTOR }: LabDisk): Promise<number | undefined> {
  const file = await open(pathOf(serial), 'r');
  const sector = Buffer.alloc(sectorBytes);
  await file.read(sector, 0, sectorBytes, bytes - sectorBytes);
  await file.close();
  const found = /^INGOT ERASE 1\n.*"position":(\d+)/.exec(sector.toString('latin1'))?.[1];
  return found === undefined ? undefined : Number(found);
}

async function patchNode(patch: readonly object[]): Promise<void> {
  const response = await fetch(`${lab.api}/v1/nodes/${PLATFORM}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', 'x-openstack-ironic-api-version': '1.81' },
    body: JSON.stringify(patch),
  });
  expect(response.status).toBe(200);
}

const clean = (step: string): Promise<unknown> =>
  lab.ingot('node', 'clean', PLATFORM, '--steps', JSON.stringify([{ interface: 'deploy', step, args: {} }]));

/** Files of evidence that the conductor has, oldest first. */
const evidenceFiles = (): string[] => globSync(join(folder, 'lab', 'conductor', 'evidence', '*', '*.jsonl')).toSorted();
const conductorKeyFile = (): string => join(folder, 'lab', 'conductor', 'evidence', 'conductor.pem');

async function recordsOf(file: string): Promise<{ text: string; records: Map<string | null, EraseRecord> }> {
  const text = await readFile(file, 'utf8');
  const { faults, receipts, records } = judgeEvidence(text, {
    key: readPublicKey(await readFile(conductorKeyFile(), 'utf8')),
  });
  expect(faults).toEqual([]);
  expect(receipts).toBe(1);
  return { text, records: new Map(records.map((record) => [record.disk.serial, record])) };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-erase-live-'));
  const host = await openHost();
  const ramdisk = join(folder, 'ramdisk');
  const { signal } = controller;
  const options = { elements: ['agent'], compress: 'zstd:3' as const, output: ramdisk };
  await buildRamdisk({ host, arch: PLATFORM, ...options, progress, signal });
  for (const disk of DISKS) {
    await fill(disk);
    before.set(disk.serial, await hashOf(disk.serial));
  }
  slow.path = pathOf(SLOW.serial);
  lab = await conductMachine({
    host,
    arch: PLATFORM,
    ramdisk,
    folder: join(folder, 'lab'),
    // All are smaller than a root disk has to be.
    parameters: ['ipa-disk-wait-attempts=1'],
    disks: DISKS.map((disk) => (disk === SLOW ? slow : { ...disk, path: pathOf(disk.serial) })),
    progress,
    signal,
  });
});
afterAll(async () => {
  controller.abort();
  await lab?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test('an erase through the conductor outlives a power cut: the machine is started again, and the work goes on', async () => {
  await patchNode([{ op: 'add', path: '/properties/skip_block_devices', value: [{ serial: 'LAB-SKIPPED' }] }]);
  const cleaning = clean('erase_devices').then(
    () => 'no error',
    (error: unknown) => String(error),
  );
  let noted: number | undefined;
  while ((noted ?? 0) === 0) {
    await Promise.race([
      sleep(200),
      cleaning.then((text) => {
        throw new Error(`it ended before the power did: ${text}\n${lab.machine.serial.tail(30).join('\n')}`);
      }),
    ]);
    noted = await notedPosition(SLOW);
  }
  process.kill(lab.machine.processId() ?? Number.NaN, 'SIGKILL');
  // From here on it need not be slow.
  slow.writeBytesPerSecond = undefined;
  const message = await cleaning;

  // Two disks are not to be touched, which somebody has to be told; all others are erased nevertheless.
  for (const { keptFor = '' } of DISKS) expect(message).toContain(keptFor);
  const kept = DISKS.filter(({ keptFor }) => keptFor !== undefined);
  for (const { serial } of kept) expect([serial, await hashOf(serial)]).toEqual([serial, before.get(serial)]);
  expect((await Promise.all(ERASED.map((disk) => wrongSamples(disk)))).flat()).toEqual([]);

  const [file = ''] = evidenceFiles();
  const { records } = await recordsOf(file);
  const said = (record: EraseRecord) => `${record.attempts.at(-1)?.method} ${record.result} ${record.category}`;
  expect(Object.fromEntries([...records].map(([serial, record]) => [serial, said(record)]))).toEqual({
    'LAB-SATA': 'overwrite-zeros erased clear',
    'LAB-VIRTIO-4KN': 'overwrite-zeros erased clear',
    'LAB-SCSI': 'overwrite-zeros erased clear',
    'LAB-NVME': 'nvme-format-user-data erased clear',
  });
  const slowRecord = records.get(SLOW.serial);
  const [attempt] = slowRecord?.attempts ?? [];
  expect(attempt?.gaps).toMatchObject([{ how: expect.stringContaining('lost its power') as string }]);
  const [gap] = attempt?.gaps ?? [];
  expect(gap?.position).toBeGreaterThanOrEqual(noted ?? 0);
  expect(Date.parse(gap?.resumed_at ?? '')).toBeGreaterThan(Date.parse(gap?.interrupted_after ?? ''));
  // What was done before the cut was not done again.
  expect(attempt?.written?.bytes).toBe(2 * SLOW.bytes - (gap?.position ?? 0) + ((gap?.position ?? 0) % (4 * MIB)));
  if (process.env['INGOT_KEEP_EVIDENCE'] !== undefined) {
    await copyFile(file, join(process.env['INGOT_KEEP_EVIDENCE'], 'four-disks.jsonl'));
    await copyFile(conductorKeyFile(), join(process.env['INGOT_KEEP_EVIDENCE'], 'conductor.pem'));
  }
});

test('the evidence of each disk is valid, and with any one thing in it altered it is not', async () => {
  const [file = ''] = evidenceFiles();
  const { text } = await recordsOf(file);
  const lines = text
    .trimEnd()
    .split('\n')
    .filter((line) => line.includes('ingot.erase/1'));
  expect(lines).toHaveLength(ERASED.length);
  const passed: string[] = [];
  for (const line of lines) {
    expect(judgeEvidence(`${line}\n`).faults).toEqual([]);
    for (const { what, line: altered } of alterations(line))
      if (judgeEvidence(`${altered}\n`).faults.length === 0) passed.push(what);
  }
  expect(passed).toEqual([]);
});
