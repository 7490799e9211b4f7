import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { main } from '../../../conductor/cli/main.ts';
import { makeKey, publicKeyOf, publicKeyPem, signRecord } from '../../../evidence/sign.ts';
import { exampleRecord, fileOf } from '../../evidence/example.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-evidence-'));
});
afterAll(() => rm(folder, { recursive: true }));

const key = makeKey();
const erased = signRecord(exampleRecord(), key);
const failed = signRecord(
  exampleRecord({ result: 'failed', category: 'none', category_why: 'it failed', failure: 'it vanished' }),
  key,
);

async function ingot(...argv: string[]): Promise<{ code: number; text: string }> {
  let text = '';
  const stream = { write: (part: string) => (text += part) } as unknown as NodeJS.WriteStream;
  const code = await main({ argv, stdout: stream, stderr: stream, signal: new AbortController().signal });
  return { code, text };
}

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

test('ingot evidence verify tells valid from altered, and erased from not erased', async () => {
  const good = await file('good', fileOf(erased));
  const plain = await ingot('evidence', 'verify', good);
  expect(plain).toMatchObject({
    code: 0,
    text: expect.stringContaining('DISK0: erased by overwrite-zeros, category clear') as string,
  });
  expect(plain.text).toContain('which --key was not there to compare with');
  const pem = await file('key.pem', publicKeyPem(publicKeyOf(key)));
  expect((await ingot('evidence', 'verify', good, '--key', pem, '--nonce', 'n0nce')).text).toContain(
    'valid: signed by the given key',
  );
  expect((await ingot('evidence', 'verify', good, '--key', publicKeyOf(key))).code).toBe(0);
  expect((await ingot('evidence', 'verify', good, '--key', publicKeyOf(makeKey()))).code).toBe(1);
  expect(
    (await ingot('evidence', 'verify', await file('bad', fileOf(erased).replace('DISK0', 'DISK1')))).text,
  ).toContain('NOT valid');
  const sad = await ingot('evidence', 'verify', await file('sad', fileOf(failed)), '--json');
  expect(sad.code).toBe(5);
  expect(JSON.parse(sad.text)).toMatchObject({
    valid: true,
    key_given: false,
    disks: [{ serial: 'DISK0', result: 'failed' }],
  });
});

test('ingot evidence verify does not call a disk erased of which the evidence claims no category', async () => {
  const why = 'partition tables and signatures are gone; the data is not';
  const left = signRecord(exampleRecord({ category: 'none', category_why: why }), key);
  const { code, text } = await ingot('evidence', 'verify', await file('left', fileOf(left)));
  expect(code).toBe(5);
  expect(text).toContain(`DISK0: data may be LEFT by overwrite-zeros, no category: ${why}`);
  expect(text).toContain('valid: ');
});

test('ingot evidence report makes a page of it', async () => {
  const path = await file('both', fileOf(erased));
  expect((await ingot('evidence', 'report', path)).text).toContain('serial DISK0: erased');
  expect((await ingot('evidence', 'report', path, '--html')).text).toContain('<!doctype html>');
});

test('ingot evidence says what it cannot use', async () => {
  await expect(ingot('evidence', 'verify')).rejects.toThrow('name one file of evidence');
  await expect(ingot('evidence', 'verify', join(folder, 'none'))).rejects.toThrow('cannot use');
  await expect(ingot('evidence', 'verify', await file('x', ''), '--key', await file('nokey', 'x'))).rejects.toThrow(
    'no Ed25519 public key',
  );
  expect((await ingot('evidence', '--help')).text).toContain('ingot evidence verify');
  await expect(ingot('evidence')).rejects.toThrow('no command was given');
});

test('ingot evidence verify lets no disk write lines of its own', async () => {
  const { disk } = exampleRecord();
  const serial = 'DISK1: erased by nvme-sanitize-block, category purge\nDISK2';
  const lying = signRecord(exampleRecord({ disk: { ...disk, serial } }), key);
  const { text } = await ingot('evidence', 'verify', await file('lying', fileOf(lying)));
  expect(text.split('\n')).toHaveLength(3);
  expect(text).toContain(String.raw`category purge\u{a}DISK2: erased by overwrite-zeros`);
});

test('ingot evidence verify takes no bytes for others', async () => {
  const path = join(folder, 'bytes');
  await writeFile(path, Buffer.concat([Buffer.from([0xff]), Buffer.from(fileOf(erased))]));
  expect(await ingot('evidence', 'verify', path)).toMatchObject({
    code: 1,
    text: expect.stringContaining('the file is no text in UTF-8') as string,
  });
});

test('ingot evidence verify says of an altered file only what it says, not that it is so', async () => {
  const { text } = await ingot('evidence', 'verify', await file('other', fileOf(erased).replace('RACK-1', 'RACK-2')));
  expect(text).not.toMatch(/^DISK0: erased/m);
  const two = await file('two', fileOf(erased, failed));
  const { code, text: said } = await ingot('evidence', 'verify', two);
  expect(code).toBe(1);
  expect(said).toContain('the file says of DISK0: erased by overwrite-zeros');
  expect(said).not.toMatch(/^DISK0: /m);
});
