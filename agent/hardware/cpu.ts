import type { Inventory } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';

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

function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : 0;
}

/** @param output of `lscpu -J`; `frequency` stays text, MHz, empty where nobody knows it */
export function parseLscpu(output: string): Inventory['cpu'] {
  const fields = new Map<string, string>();
  collectFields((JSON.parse(output) as { lscpu?: unknown }).lscpu, fields);
  return {
    model_name: fields.get('Model name') ?? '',
    frequency: fields.get('CPU max MHz') ?? fields.get('CPU MHz') ?? '',
    count: wholeNumber(fields.get('CPU(s)')),
    architecture: fields.get('Architecture') ?? '',
    flags: (fields.get('Flags') ?? '').split(/\s+/).filter((flag) => flag !== ''),
    // loongarch64 and some arm64 machines show no sockets ("-"); there is one at least.
    socket_count: Math.max(1, wholeNumber(fields.get('Socket(s)'))),
  };
}

export async function describeCpu(os: AgentOs): Promise<Inventory['cpu']> {
  const { stdout } = await os.run('lscpu', ['-J']);
  return parseLscpu(stdout);
}
