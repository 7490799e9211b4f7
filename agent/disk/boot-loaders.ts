/** A boot loader on an EFI system partition. `path` is as UEFI writes it: backslashes, from the partition's root. */
export type BootLoader = { path: string; label: string | undefined };

/** Files whose lines name a loader and its label, as shim's fallback program reads them. */
const CSV_NAMES = new Set(['bootx64.csv', 'bootaa64.csv', 'bootloongarch64.csv', 'boot.csv']);
const LOADER_NAMES = new Set([
  ...['ia32', 'x64', 'ia64', 'arm', 'aa64', 'riscv32', 'riscv64', 'riscv128', 'loongarch64'].map(
    (arch) => `boot${arch}.efi`,
  ),
  'grubaa64.efi',
  'winload.efi',
]);

/** UTF-16 with or without a byte order mark, of either order, or UTF-8: all of them are found on real partitions. */
export function decodeCsv(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  // Plain letters in UTF-16 have a zero byte beside each.
  if (second === 0) return new TextDecoder('utf-16le').decode(bytes);
  if (first === 0) return new TextDecoder('utf-16be').decode(bytes);
  return new TextDecoder('utf-8').decode(bytes);
}

function uefiPath(path: string): string {
  return `\\${path.replaceAll('/', '\\')}`;
}

function fromCsv(path: string, bytes: Uint8Array): BootLoader | undefined {
  const [line] = decodeCsv(bytes).split(/\r?\n/);
  const [loader, label] = (line ?? '').split(',').map((field) => field.trim());
  if (!loader) return undefined;
  const directory = path.split('/').slice(0, -1).join('/');
  return { path: uefiPath(directory === '' ? loader : `${directory}/${loader}`), label: label || undefined };
}

/**
 * Which loaders deserve a boot entry: the first CSV file's alone, which is what a distribution asks for, else all with
 * well-known names.
 * @param paths files of the partition, relative to its root, with slashes
 * @param read content of one of them
 */
export async function findBootLoaders(
  paths: readonly string[],
  read: (path: string) => Promise<Uint8Array | undefined>,
): Promise<BootLoader[]> {
  const nameOf = (path: string) => (path.split('/').at(-1) ?? '').toLowerCase();
  const sorted = paths.toSorted();
  for (const path of sorted.filter((candidate) => CSV_NAMES.has(nameOf(candidate)))) {
    const bytes = await read(path);
    const loader = bytes && fromCsv(path, bytes);
    if (loader) return [loader];
  }
  return sorted
    .filter((path) => LOADER_NAMES.has(nameOf(path)))
    .map((path) => ({ path: uefiPath(path), label: undefined }));
}
