import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { BUILD_OPTIONS, buildRequests } from '../../../builder/commands/options.ts';
import { splitWords } from '../../../builder/commands/words.ts';
import { parseOptions } from '../../../cli/options.ts';

/** What a command line comes to; `line` is split as a shell does it. */
function requests(line: string, env: NodeJS.ProcessEnv = {}) {
  const { values, positionals } = parseOptions(BUILD_OPTIONS, splitWords(line));
  return buildRequests(values, positionals, env);
}

describe('the command lines of the ancestors', () => {
  test('ironic-python-agent-builder’s, as its users type it for LoongArch', () => {
    const line =
      '-o ipa-loongarch64 -e "devuser dynamic-login dhcp-all-interfaces deploy-baremetal" --release 22.03-LTS openeuler-minimal --extra-args=-x';
    expect(requests(line, { ARCH: 'loongarch64' })).toEqual([
      expect.objectContaining({
        arch: 'loongarch64',
        distribution: 'openeuler',
        release: '22.03-LTS',
        elements: ['agent', 'devuser', 'dynamic-login', 'dhcp-all-interfaces', 'deploy-baremetal'],
        output: 'ipa-loongarch64',
        trace: true,
      }),
    ]);
  });

  test('disk-image-create’s, with its settings in variables', () => {
    const line =
      '-o ipa-loongarch64 ironic-python-agent-ramdisk openeuler-minimal devuser dynamic-login dhcp-all-interfaces deploy-baremetal -x';
    const env = { ARCH: 'loongarch64', DIB_RELEASE: '2203', ELEMENTS_PATH: 'elements:more' };
    expect(requests(line, env)).toEqual([
      expect.objectContaining({
        arch: 'loongarch64',
        distribution: 'openeuler',
        release: '2203',
        elements: [
          'agent',
          'ironic-python-agent-ramdisk',
          'devuser',
          'dynamic-login',
          'dhcp-all-interfaces',
          'deploy-baremetal',
        ],
        elementsPath: ['elements', 'more'],
        trace: true,
      }),
    ]);
  });

  test('the one for CentOS', () => {
    expect(requests('-o my-ipa --release 9-stream centos', { ARCH: 'aarch64' })).toEqual([
      expect.objectContaining({ arch: 'aarch64', distribution: 'centos', release: '9-stream', output: 'my-ipa' }),
    ]);
  });
});

describe('what a command line asks for', () => {
  test('options win over variables', () => {
    const env = { ARCH: 'arm64', DIB_RELEASE: 'potato', DIB_DISTRIBUTION_MIRROR: 'http://a', ELEMENTS_PATH: '/a' };
    expect(requests('-a x86_64 -r trixie --mirror http://b --elements-path /b:/c', env)).toEqual([
      expect.objectContaining({
        arch: 'x86_64',
        release: 'trixie',
        mirror: ['http://b'],
        elementsPath: ['/b', '/c'],
      }),
    ]);
    expect(requests('', env)[0]).toMatchObject({
      arch: 'arm64',
      release: 'potato',
      mirror: ['http://a'],
      elementsPath: ['/a'],
    });
  });

  test('several architectures give several results, each with a name of its own', () => {
    expect(requests('--arch all -o out/x').map((one) => one.output)).toEqual([
      'out/x-x86_64',
      'out/x-aarch64',
      'out/x-loongarch64',
    ]);
    expect(requests('-a x86_64 -a arm64 -o x').map((one) => one.output)).toEqual(['x-x86_64', 'x-arm64']);
    expect(requests('-a x86_64,x86_64 -o x').map((one) => one.output)).toEqual(['x']);
  });

  test('extra arguments are options like others', () => {
    expect(requests('--extra-args="-p fio,jq -e one" -p lshw')[0]).toMatchObject({
      packages: ['lshw', 'fio', 'jq'],
      elements: ['agent', 'one'],
    });
    expect(() => requests('--extra-args="--image-size 5"')).toThrow('--image-size');
  });

  test.each(['-o ""', '-o folder/', '-o .', 'debian centos', '--extra-args="\'"'])('%s makes no sense', (line) => {
    expect(() => requests(line)).toThrow(/^cannot /);
  });
});

describe('splitting words as a shell does', () => {
  test.each([
    ['', []],
    ['  a  b ', ['a', 'b']],
    [String.raw`a\ b "c d" 'e "f"' ""`, ['a b', 'c d', 'e "f"', '']],
    [String.raw`x="a \"b\" \c"y`, [String.raw`x=a "b" \cy`]],
  ])('%s', (text, words) => {
    expect(splitWords(text)).toEqual(words);
  });

  test('any words come back when each is quoted', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        const quoted = words.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');
        expect(splitWords(quoted)).toEqual(words);
      }),
    );
  });
});
