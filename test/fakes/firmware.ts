import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemRun } from '../../system/run.ts';
import { makeGuest } from './qcow2.ts';

const MIB = 1024 ** 2;
const SECTOR = 512;
/** Where firmware looks: first sector, GPT header, volume descriptors of a CD. */
const FIRST_BYTES = 8192;
const DISC = { from: 32 * 1024, to: 64 * 1024 };

/** What a disk had before, for a machine whose disk it was. Every one of them boots. */
export type OldDisk = { name: string; bytes: Buffer; innerBackup?: number };

async function withSgdisk(bytes: Buffer, ...args: string[]): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-old-disk-'));
  const path = join(folder, 'disk');
  await writeFile(path, bytes);
  await systemRun('sgdisk', [...args, path]);
  const made = await readFile(path);
  await rm(folder, { recursive: true });
  return made;
}

/** Data that reaches from end to end, so that a single lost sector of it shows. */
function data(sizeBytes: number): Buffer {
  return Buffer.alloc(sizeBytes, 'what the old system has ');
}

async function gptDisk(sizeBytes: number): Promise<Buffer> {
  const bytes = data(sizeBytes);
  bytes.fill(0, 440, 34 * SECTOR);
  bytes.fill(0, sizeBytes - 33 * SECTOR);
  return withSgdisk(bytes, '-a', '1', '-n', '1:34:0');
}

/** @returns disks with an MBR, a GPT, the GPT of an image for a smaller disk, and an ISO hybrid */
export async function makeOldDisks(sizeBytes: number): Promise<OldDisk[]> {
  const mbr = data(sizeBytes);
  makeGuest(SECTOR, 1).copy(mbr);
  const gpt = await gptDisk(sizeBytes);
  const smallBytes = Math.floor(sizeBytes / 2 / MIB) * MIB;
  const inner = data(sizeBytes);
  (await gptDisk(smallBytes)).copy(inner);
  const iso = Buffer.from(gpt);
  for (const [index, type] of [1, 0].entries())
    iso.write(`${String.fromCharCode(type)}CD001`, DISC.from + index * 2048);
  return [
    { name: 'MBR', bytes: mbr },
    { name: 'GPT', bytes: gpt },
    { name: 'GPT of a smaller disk', bytes: inner, innerBackup: smallBytes - SECTOR },
    { name: 'ISO hybrid', bytes: iso },
  ];
}

/**
 * What firmware makes of a disk. `stranded`: the first table is gone and its backup is still there, so that some firmware boots the old
 * system and some nothing.
 */
export type Sight = 'old system' | 'nothing' | 'new system' | 'something unfinished' | 'stranded';

type Range = { from: number; to: number };

/** Equal, or zeros where that is allowed, sector by sector. */
function isWhole(disk: Buffer, wanted: Buffer, mayBeGone: readonly Range[]): boolean {
  if (disk.subarray(0, wanted.length).equals(wanted)) return true;
  const zeros = Buffer.alloc(SECTOR);
  const mended = Buffer.from(disk.subarray(0, wanted.length));
  for (const { from, to } of mayBeGone)
    for (let at = from; at < to; at += SECTOR)
      if (mended.subarray(at, at + SECTOR).equals(zeros)) wanted.copy(mended, at, at, at + SECTOR);
  return mended.equals(wanted);
}

/** Looks at a disk as the strictest and the most lenient of firmware do together: everything that any of them would take counts. */
export function firmwareSees(disk: Buffer, old: OldDisk, image: Buffer): Sight {
  const text = (at: number, word: string) => disk.toString('latin1', at, at + word.length) === word;
  const isMbr = disk.readUInt16BE(510) === 0x55_aa;
  const isGpt = [512, 4096].some((at) => text(at, 'EFI PART'));
  const isBackup = [512, 4096].some((size) => text(disk.length - size, 'EFI PART'));
  const isDisc = [0, 1].some((index) => text(DISC.from + index * 2048 + 1, 'CD001'));
  if (!isMbr && !isGpt && !isBackup && !isDisc) return 'nothing';
  const first = { from: 0, to: FIRST_BYTES };
  const last = (sizeBytes: number) => ({ from: sizeBytes - FIRST_BYTES, to: sizeBytes });
  if (isWhole(disk, image, [first, last(image.length)])) return 'new system';
  const { innerBackup } = old;
  const inner = innerBackup === undefined ? [] : [{ from: innerBackup, to: innerBackup + SECTOR }];
  const lastSector = { from: disk.length - SECTOR, to: disk.length };
  if (!isWhole(disk, old.bytes, [first, DISC, lastSector, ...inner])) return 'something unfinished';
  return isBackup && !(isMbr && isGpt) ? 'stranded' : 'old system';
}
