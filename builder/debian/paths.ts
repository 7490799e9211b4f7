/** Folders that Debian has only as links into /usr since trixie. */
export const MERGED_FOLDERS = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];

/**
 * A path of a package as it is in a merged /usr: relative, without `./`, and `lib/…` as `usr/lib/…`.
 * @returns '' for the root itself, and for a folder that is a link in the merged tree
 * @throws RangeError on a path that leaves the root
 */
export function mergedPath(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new RangeError(`${path} leaves the root`);
  const [first = ''] = parts;
  if (!MERGED_FOLDERS.includes(first)) return parts.join('/');
  return parts.length === 1 ? '' : ['usr', ...parts].join('/');
}
