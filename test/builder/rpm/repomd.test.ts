import { describe, expect, test } from 'vitest';

import { parseRepomd } from '../../../builder/rpm/repomd.ts';

// As createrepo_c 1.2.0 writes it.
const TEXT = `<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1795557513</revision>
  <data type="primary">
    <checksum type="sha256">a54c4ccd5318491625b3bc0f480c44d24189cb949166ba58e1505962be874387</checksum>
    <open-checksum type="sha256">57b63bb4b6ff2f5a0bd0d5b91f5d6ecb1ac68a83f5b2b5bc7f4be1d2f1a6a8be</open-checksum>
    <location href="repodata/a54c4ccd5318491625b3bc0f480c44d24189cb949166ba58e1505962be874387-primary.xml.gz"/>
    <timestamp>1795557513</timestamp>
    <size>9130</size>
    <open-size>74236</open-size>
  </data>
  <data type="updateinfo">
    <checksum type="sha512">00</checksum>
    <location href="repodata/updateinfo.xml.gz"/>
    <size>1</size>
  </data>
</repomd>
`;

describe('repomd.xml', () => {
  test('names lists with their places, sizes and digests; one without SHA-256 counts as none', () => {
    const sha256 = 'a54c4ccd5318491625b3bc0f480c44d24189cb949166ba58e1505962be874387';
    expect(parseRepomd(TEXT)).toEqual([
      { type: 'primary', location: `repodata/${sha256}-primary.xml.gz`, sha256, sizeBytes: 9130 },
    ]);
  });

  test.each(['../../etc/passwd', '/etc/passwd', 'repodata/../../x', 'repodata/.hidden', 'http://elsewhere/x'])(
    'a list at %s is no list of this repository',
    (location) => {
      expect(() => parseRepomd(TEXT.replace(/href="[^"]+"/, `href="${location}"`))).toThrow(RangeError);
    },
  );
});
