import { readFile } from 'node:fs/promises';

import { defineCommand } from '../../cli/command.ts';
import { type OptionTable, usageFailure } from '../../cli/options.ts';
import { judgeEvidence, type Judgement } from '../../evidence/judge.ts';
import { printable } from '../../evidence/printable.ts';
import type { EraseRecord } from '../../evidence/record.ts';
import { reportHtml, reportText } from '../../evidence/report.ts';
import { readPublicKey } from '../../evidence/sign.ts';
import { reasonOf } from '../../system/failure.ts';
import { cliFailure } from './failures.ts';
import { printJson } from './show.ts';

/** Valid, and says of a disk that it was not erased, or that data may be left on it. */
const NOT_ERASED_EXIT_CODE = 5;

const OPTIONS = {
  key: {
    type: 'string',
    placeholder: 'KEY',
    help: "the key that must have signed, the agent's or the conductor's: a PEM file, or base64",
  },
  nonce: { type: 'string', placeholder: 'TEXT', help: 'the nonce that must be in it' },
} as const satisfies OptionTable;

async function contentOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw cliFailure('FILE_UNUSABLE', `${path}: ${reasonOf(error)}`, { cause: error });
  }
}

async function readKey(given: string | undefined): Promise<string | undefined> {
  if (given === undefined) return undefined;
  const key = readPublicKey(given) ?? readPublicKey((await contentOf(given)).toString());
  if (key === undefined) throw cliFailure('FILE_UNUSABLE', `--key ${given}: it is no Ed25519 public key`);
  return key;
}

async function judge(
  positionals: readonly string[],
  { key, nonce }: { key?: string | undefined; nonce?: string | undefined },
): Promise<{ judgement: Judgement; trusted: boolean }> {
  const [path, ...rest] = positionals;
  if (path === undefined || rest.length > 0) throw usageFailure('cannot run: name one file of evidence');
  return {
    judgement: judgeEvidence(await contentOf(path), { key: await readKey(key), nonce }),
    trusted: key !== undefined,
  };
}

/** Without a category what was done was done, and data may be left all the same: a wiped table, a discard, hidden sectors. */
function isErased({ result, category }: EraseRecord): boolean {
  return result === 'erased' && category !== 'none';
}

function exitCode({ faults, records }: Judgement): number {
  if (faults.length > 0) return 1;
  return records.every((record) => isErased(record)) ? 0 : NOT_ERASED_EXIT_CODE;
}

function verdictOf(record: EraseRecord): string {
  const { result, category, category_why: why, attempts } = record;
  if (result !== 'erased') return 'NOT erased';
  const how = `by ${attempts.at(-1)?.method}`;
  return isErased(record) ? `erased ${how}, category ${category}` : `data may be LEFT ${how}, no category: ${why}`;
}

export const verifyCommand = defineCommand({
  summary: 'Checks evidence of erased disks: signatures, order, and whether it can be so.',
  usage: 'FILE [--key KEY] [--nonce TEXT]',
  details: [
    'Needs nothing but the file and, to know who signed it, a public key. Exit code 0:',
    'valid, and every disk in it is erased; 1: not valid; 5: valid, and it says of a',
    'disk that it was not erased, or claims no category for what was done to it.',
  ],
  options: { ...OPTIONS, json: { type: 'boolean', help: 'print the judgement as JSON' } },
  run: async ({ stdout }, values, positionals) => {
    const { judgement, trusted } = await judge(positionals, values);
    const { faults, unchecked, records, keys, receipts } = judgement;
    if (values.json) {
      const disks = records.map(({ disk, result, category }) => ({
        path: disk.path,
        serial: disk.serial,
        result,
        category,
      }));
      printJson(stdout, { valid: faults.length === 0, faults, unchecked, keys, key_given: trusted, receipts, disks });
      return exitCode(judgement);
    }
    const say = (line: string) => stdout.write(`${printable(line)}\n`);
    // Of a file that is not valid these are no verdicts of ours.
    const claimed = faults.length === 0 ? '' : 'the file says of ';
    for (const record of records) say(`${claimed}${record.disk.serial ?? record.disk.path}: ${verdictOf(record)}`);
    for (const line of [...faults, ...unchecked]) say(line);
    const signed = trusted
      ? 'signed by the given key'
      : `signed by ${keys.join(', ')}, which --key was not there to compare with`;
    stdout.write(faults.length === 0 ? `valid: ${signed}\n` : 'NOT valid\n');
    return exitCode(judgement);
  },
});

export const reportCommand = defineCommand({
  summary: 'Makes a readable page of evidence of erased disks.',
  usage: 'FILE [--key KEY] [--html]',
  details: ['Exit codes are those of ingot evidence verify.'],
  options: { ...OPTIONS, html: { type: 'boolean', help: 'HTML that needs no other file, to print or to keep' } },
  run: async ({ stdout }, values, positionals) => {
    const { judgement, trusted } = await judge(positionals, values);
    stdout.write((values.html ? reportHtml : reportText)(judgement, trusted));
    return exitCode(judgement);
  },
});
