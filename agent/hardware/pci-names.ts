import type { AgentOs } from '../os/door.ts';

/** Makers of graphics cards and accelerators, by PCI vendor id: the ramdisk has no pci.ids, which is larger than the agent. */
const VENDORS: Readonly<Record<string, string>> = {
  '0014': 'Loongson',
  '1002': 'AMD',
  '102b': 'Matrox',
  '10de': 'NVIDIA',
  '10ee': 'Xilinx (AMD)',
  '1234': 'QEMU',
  '15ad': 'VMware',
  '19e5': 'Huawei',
  '1a03': 'ASPEED',
  '1af4': 'Red Hat',
  '1b36': 'Red Hat',
  '1d94': 'Hygon',
  '1da3': 'Habana Labs (Intel)',
  '1e36': 'Enflame',
  '1e3e': 'Iluvatar CoreX',
  '1ed5': 'Moore Threads',
  '8086': 'Intel',
  '9999': 'MetaX',
  cabc: 'Cambricon',
};

/** Where distributions keep the list of PCI ids, should an element have brought it. */
const LISTS = ['/usr/share/misc/pci.ids', '/usr/share/hwdata/pci.ids'];

export type PciNames = { vendor: string | null; product: string | null };

/** Names in a pci.ids file: vendors start a line, their products follow with one tab. */
export function findInPciIds(text: string, vendor: string, product: string): PciNames {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`${vendor}  `));
  if (start < 0) return { vendor: null, product: null };
  const names: PciNames = { vendor: lines[start]?.slice(6).trim() ?? null, product: null };
  for (const line of lines.slice(start + 1)) {
    if (!line.startsWith('\t') && !line.startsWith('#')) break;
    if (line.startsWith(`\t${product}  `)) return { ...names, product: line.slice(7).trim() };
  }
  return names;
}

/** A function that names PCI devices, by the list of ids where the ramdisk has one, else the vendor alone. */
export async function pciNames(os: Pick<AgentOs, 'files'>): Promise<(vendor: string, product: string) => PciNames> {
  const texts = await Promise.all(LISTS.map((path) => os.files.read(path)));
  const ids = texts.find((text) => text !== undefined) ?? '';
  return (vendor, product) => {
    const found = findInPciIds(ids, vendor, product);
    return { vendor: found.vendor ?? VENDORS[vendor] ?? null, product: found.product };
  };
}
