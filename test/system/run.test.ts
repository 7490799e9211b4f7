import { describe, expect, test } from 'vitest';

import { Failure } from '../../system/failure.ts';
import { showCommand, systemRun, systemRunBytes } from '../../system/run.ts';

// These start real, harmless programs: this is the door itself, and a fake would prove nothing about it.
describe('systemRun', () => {
  test('gives output, error output and exit code', async () => {
    const result = await systemRun('sh', ['-c', 'echo out; echo err >&2; exit 3'], { okExitCodes: [0, 3] });
    expect(result).toEqual({ stdout: 'out\n', stderr: 'err\n', exitCode: 3 });
  });

  test('names the whole command, its exit code and its last words when it fails', async () => {
    const failure = await systemRun('sh', ['-c', 'echo no such disk >&2; exit 4']).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Failure);
    expect((failure as Failure).message).toBe(
      "cannot run sh -c 'echo no such disk >&2; exit 4': it ended with exit code 4\nno such disk",
    );
  });

  test('says so when there is no such program', async () => {
    await expect(systemRun('ingot-no-such-program', [])).rejects.toThrow(/cannot run ingot-no-such-program: .*ENOENT/);
  });

  test('gives words to the program as they are, without a shell', async () => {
    expect((await systemRun('printf', ['%s|', '$HOME', 'a b', '*'])).stdout).toBe('$HOME|a b|*|');
  });

  test('ends a program that takes too long', async () => {
    await expect(systemRun('sleep', ['60'], { timeoutMs: 100 })).rejects.toThrow('did not end within 100 ms');
  });

  test('ends a program when the caller gives up, and throws the reason', async () => {
    const controller = new AbortController();
    const running = systemRun('sleep', ['60'], { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('given up')), 50);
    await expect(running).rejects.toThrow('given up');
  });

  test('hands over a clean environment and closed standard input', async () => {
    process.env['INGOT_SECRET'] = 'x';
    const { stdout } = await systemRun('sh', ['-c', 'echo "$LC_ALL:$INGOT_SECRET:$EXTRA"; cat'], {
      env: { EXTRA: 'yes' },
    });
    delete process.env['INGOT_SECRET'];
    expect(stdout).toBe('C::yes\n');
  });

  test('reports lines while the program runs', async () => {
    const lines: string[] = [];
    const result = await systemRun('sh', ['-c', 'echo one; echo two >&2; echo three'], {
      onLine: (line) => lines.push(line),
    });
    expect(lines.toSorted()).toEqual(['one', 'three', 'two']);
    expect(result.stdout).toBe('one\nthree\n');
  });

  test('keeps bytes as bytes', async () => {
    expect([...(await systemRunBytes('printf', [String.raw`\377\000a`]))]).toEqual([0xff, 0, 0x61]);
  });
});

test('a shown command can be pasted into a shell', async () => {
  const words = ['plain', 'two words', "it's", '$(x)', ''];
  const { stdout } = await systemRun('sh', ['-c', showCommand('printf', ['<%s>', ...words])]);
  expect(stdout).toBe(words.map((word) => `<${word}>`).join(''));
});
