/** A boot loader on an EFI system partition. `path` is as UEFI writes it: backslashes, from the partition's root. */
export type BootLoader = { path: string; label: string | undefined };

/** How UEFI calls the processor that Node calls so (UEFI 2.10, 3.5.1.1). */
const EFI_NAMES: Readonly<Record<string, string>> = {
  ia32: 'ia32',
  x64: 'x64',
  arm: 'arm',
  arm64: 'aa64',
  loong64: 'loongarch64',
  riscv64: 'riscv64',
};
/** This machine's. */
export const EFI_NAME = EFI_NAMES[process.arch] ?? '';

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

/** Each line names a loader beside the file, its label, what it is started with, and a comment. */
function fromCsv(path: string, bytes: Uint8Array): BootLoader[] {
  const directory = path.split('/').slice(0, -1).join('/');
  return decodeCsv(bytes)
    .split(/\r?\n/)
    .flatMap((line) => {
      const [loader, label] = line.split(',').map((field) => field.replaceAll('\0', '').trim());
      if (!loader) return [];
      return [{ path: uefiPath(directory === '' ? loader : `${directory}/${loader}`), label: label || undefined }];
    });
}

function withoutTwins(loaders: readonly BootLoader[]): BootLoader[] {
  const isSame = (a: BootLoader, b: BootLoader) =>
    a.path.toLowerCase() === b.path.toLowerCase() || (a.label !== undefined && a.label === b.label);
  return loaders.filter((loader, index) => loaders.findIndex((other) => isSame(loader, other)) === index);
}

/**
 * Which loaders deserve a boot entry, the one to try first before the others: what the first CSV file names and nothing else, which is
 * what a distribution asks for; else all with well-known names.
 * @param paths files of the partition, relative to its root, with slashes
 * @param read content of one of them
 * @param efiName the processor, whose own files go before those for others
 */
export async function findBootLoaders(
  paths: readonly string[],
  read: (path: string) => Promise<Uint8Array | undefined>,
  efiName: string,
): Promise<BootLoader[]> {
  const nameOf = (path: string) => (path.split('/').at(-1) ?? '').toLowerCase();
  const isOwn = (path: string) => new RegExp(`^(?:boot|grub)${efiName}\\.`).test(nameOf(path));
  const sorted = paths.toSorted().toSorted((a, b) => Number(isOwn(b)) - Number(isOwn(a)));
  for (const path of sorted.filter((candidate) => CSV_NAMES.has(nameOf(candidate)))) {
    const bytes = await read(path);
    const loaders = bytes ? withoutTwins(fromCsv(path, bytes)) : [];
    if (loaders.length > 0) return loaders;
  }
  return sorted
    .filter((path) => LOADER_NAMES.has(nameOf(path)))
    .map((path) => ({ path: uefiPath(path), label: undefined }));
}
