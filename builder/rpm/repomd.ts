/** One list of a repository, as its repomd.xml names it. */
export type RepositoryList = {
  /** `primary`, `filelists`, `modules` … */
  type: string;
  /** Below the repository. */
  location: string;
  sha256: string;
  sizeBytes: number;
};

/**
 * Reads repomd.xml, the signed root of a repository: what lists there are, and their digests. Lists without a SHA-256 digest are
 * left out, because nothing could be checked with another.
 * @throws RangeError when a location leads out of the repository's folder
 */
export function parseRepomd(text: string): RepositoryList[] {
  return [...text.matchAll(/<data\s+type="([^"]+)">(.*?)<\/data>/gs)].flatMap(([, type = '', body = '']) => {
    const sha256 = /<checksum\s+type="sha256">\s*([0-9a-f]{64})\s*<\/checksum>/.exec(body)?.[1];
    const location = /<location\s[^>]*href="([^"]+)"/.exec(body)?.[1] ?? '';
    const size = /<size>(\d+)<\/size>/.exec(body)?.[1];
    if (sha256 === undefined || size === undefined) return [];
    if (!/^(?!\.)[\w.+~-]+(\/(?!\.)[\w.+~-]+)*$/.test(location))
      throw new RangeError(`the list ${type} is at ${location}, which is no place in the repository`);
    return [{ type, location, sha256, sizeBytes: Number(size) }];
  });
}
