import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { splitElements } from '../../builder/foreign.ts';

// Elements of Ingot that bring hooks: a manifest that says them, and a folder that has them.
let folder = '';
const progress = { log: () => undefined };
const split = (...names: string[]) => splitElements(names, { elementsPath: [folder], progress });

async function element(name: string, manifest: object, files: Record<string, string>): Promise<void> {
  const home = join(folder, name);
  await mkdir(join(home, 'install.d'), { recursive: true });
  await writeFile(join(home, 'element.json'), JSON.stringify({ name, summary: 's', ...manifest }));
  for (const [path, text] of Object.entries(files)) await writeFile(join(home, path), text, { mode: 0o755 });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-foreign-'));
  const hook = { 'install.d/50-thing': '#!/bin/sh\n' };
  await element('plain', {}, {});
  await element('hooked', { hooks: { 'install.d/50-thing': 'asks the system' } }, hook);
  await element('needing', { needs: ['hooked'] }, {});
  await element('unsaid', {}, hook);
  await element('absent', { hooks: { 'install.d/60-gone': 'r' } }, {});
});
afterAll(() => rm(folder, { recursive: true }));

describe('an element of Ingot', () => {
  test('without hooks has nothing that runs', async () => {
    expect(await split('agent', 'plain')).toEqual({ native: ['agent', 'plain'], foreign: undefined });
  });

  test.each(['hooked', 'needing'])(
    'with hooks, its own or of one that it needs, is Ingot’s and has them run: %s',
    async (name) => {
      const { native, foreign } = await split('agent', name);
      expect(native).toEqual(expect.arrayContaining(['agent', name]));
      expect(foreign?.foreign.map((one) => one.name)).toEqual(['hooked']);
      expect(foreign?.hooks.scripts.get('install')?.map((one) => [one.element, one.path])).toContainEqual([
        'hooked',
        'install.d/50-thing',
      ]);
    },
  );

  test.each([
    ['unsaid', 'cannot use element unsaid: it has install.d/50-thing, and says in hooks nothing of it'],
    ['absent', 'cannot use element absent: hooks.install.d/60-gone is not in its folder'],
  ])('is refused when manifest and folder differ: %s', async (name, message) => {
    await expect(split(name)).rejects.toMatchObject({ code: 'ELEMENT_INVALID', message });
  });
});
