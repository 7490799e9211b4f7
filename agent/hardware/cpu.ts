import type { Inventory } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';
import { processorsOf } from './dmi.ts';
import type { SmbiosStructure } from './smbios.ts';

type LscpuField = { field?: unknown; data?: unknown; children?: unknown };

/** All fields of `lscpu -J`, whose newer versions put them into one another. The first one of a name counts. */
function collectFields(fields: unknown, found: Map<string, string>): void {
  if (!Array.isArray(fields)) return;
  for (const { field, data, children } of fields as LscpuField[]) {
    if (typeof field === 'string' && typeof data === 'string') {
      const name = field.replace(/:$/, '');
      if (!found.has(name)) found.set(name, data);
    }
    collectFields(children, found);
  }
}

const words = (text = ''): string[] => text.split(/\s+/).filter((word) => word !== '');

function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : 0;
}

/** @param output of `lscpu -J`; `frequency` is text, MHz; what it does not say is empty or 0 */
export function parseLscpu(output: string): Inventory['cpu'] {
  const fields = new Map<string, string>();
  collectFields((JSON.parse(output) as { lscpu?: unknown }).lscpu, fields);
  return {
    // Where the kernel knows no name of an Arm processor, lscpu has the firmware's.
    model_name: [fields.get('Model name'), fields.get('BIOS Model name')].find((name) => name && name !== '-') ?? '',
    frequency: fields.get('CPU max MHz') ?? fields.get('CPU MHz') ?? '',
    count: wholeNumber(fields.get('CPU(s)')),
    architecture: fields.get('Architecture') ?? '',
    flags: words(fields.get('Flags')),
    socket_count: wholeNumber(fields.get('Socket(s)')),
  };
}

/** Fields of the first processor in /proc/cpuinfo, by name in lower case: Arm, LoongArch and x86 agree on little else. */
export function parseCpuinfo(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [name = '', ...value] = line.split(':');
    const key = name.trim().toLowerCase();
    if (value.length > 0 && !found.has(key)) found.set(key, value.join(':').trim());
  }
  return found;
}

/** Sockets by the kernel's numbering of threads; 0 where it has none. */
async function socketsInSysfs(os: Pick<AgentOs, 'files'>): Promise<number> {
  const folder = '/sys/devices/system/cpu';
  const threads = (await os.files.list(folder)).filter((name) => /^cpu\d+$/.test(name));
  const ids = await Promise.all(
    threads.map(async (name) => (await os.files.read(`${folder}/${name}/topology/physical_package_id`))?.trim()),
  );
  return new Set(ids.filter((id) => id !== undefined && /^\d+$/.test(id))).size;
}

/**
 * The processors by lscpu. Of Arm and LoongArch machines it knows no sockets, no frequency or no flags, depending on version and
 * firmware: those are then DMI's, the kernel's in /proc/cpuinfo, and sysfs's.
 */
export async function describeCpu(
  os: Pick<AgentOs, 'run' | 'files'>,
  structures: readonly SmbiosStructure[],
): Promise<Inventory['cpu']> {
  const { stdout } = await os.run('lscpu', ['-J']);
  const cpu = parseLscpu(stdout);
  const info = parseCpuinfo((await os.files.read('/proc/cpuinfo')) ?? '');
  const dmi = processorsOf(structures);
  return {
    ...cpu,
    model_name: cpu.model_name || (info.get('model name') ?? ''),
    frequency: cpu.frequency || info.get('cpu mhz') || (dmi.mhz?.toString() ?? ''),
    flags: cpu.flags.length > 0 ? cpu.flags : words(info.get('flags') ?? info.get('features')),
    socket_count: cpu.socket_count || dmi.sockets || (await socketsInSysfs(os)) || 1,
  };
}
