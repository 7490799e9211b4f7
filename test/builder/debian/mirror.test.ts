import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { chooseMirror, findMirror, parseDeb822Sources, parseOneLineSources } from '../../../builder/debian/mirror.ts';

const DEB822 = `Types: deb
# a comment in a stanza
URIs: http://mirror.example/debian/
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: trixie-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: sid
`;

describe('the mirror of the host', () => {
  test('is read from deb822 sources', () => {
    expect(chooseMirror(parseDeb822Sources(DEB822))).toEqual({
      main: 'http://mirror.example/debian',
      security: 'http://mirror.example/debian-security',
    });
    expect(parseDeb822Sources(DEB822).some(({ uri }) => uri.includes('off.example'))).toBe(false);
  });

  test('is read from one-line sources', () => {
    const text = `# deb http://no.example/debian trixie main
deb-src http://src.example/debian trixie main
deb [arch=amd64 signed-by=/x.gpg] https://node.example/node_20.x nodistro main
deb [arch=amd64] http://one.example/debian bookworm main contrib
deb http://one.example/debian-security bookworm-security main`;
    expect(chooseMirror(parseOneLineSources(text))).toEqual({
      main: 'http://one.example/debian',
      security: 'http://one.example/debian-security',
    });
  });

  test('is no third party’s archive', () => {
    expect(chooseMirror(parseOneLineSources('deb https://node.example/node_20.x nodistro main'))).toBeUndefined();
  });
});

describe('findMirror', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ingot-apt-'));
    await mkdir(join(folder, 'sources.list.d'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('reads every file that APT reads, and no other', async () => {
    await writeFile(join(folder, 'sources.list.d/debian.sources.save'), DEB822.replaceAll('mirror', 'saved'));
    await writeFile(join(folder, 'sources.list.d/debian.sources'), DEB822);
    expect((await findMirror([], folder)).main).toBe('http://mirror.example/debian');
  });

  test('follows the mirror files of cloud images', async () => {
    await writeFile(join(folder, 'debian.list'), 'https://cloud.example/debian\n');
    await writeFile(join(folder, 'sources.list'), `deb mirror+file:${folder}/debian.list trixie main\n`);
    expect((await findMirror([], folder)).main).toBe('https://cloud.example/debian');
  });

  test('without any says what to do', async () => {
    await expect(findMirror([], folder)).rejects.toMatchObject({
      code: 'NO_MIRROR',
      hint: expect.stringContaining('--mirror') as string,
    });
  });

  test('prefers what is given', async () => {
    expect(await findMirror(['http://b.example/debian-security', 'http://b.example/debian/'], folder)).toEqual({
      main: 'http://b.example/debian',
      security: 'http://b.example/debian-security',
    });
    await expect(findMirror(['b.example/debian'], folder)).rejects.toThrow('is no http, https or file address');
    await expect(findMirror(['http://b.example/debian-security'], folder)).rejects.toThrow('security updates only');
  });
});
