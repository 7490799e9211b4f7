import type { Disk, InspectionData, Inventory } from './api/inventory.ts';
import { HARDWARE_MANAGER_VERSION } from './engine/steps.ts';
import { reasonOf } from '../system/failure.ts';

/** Collectors that this agent has. */
const COLLECTORS = ['default', 'logs'] as const;
/** Collectors that ironic-python-agent has and this agent does not: they add data that no hook of Ironic must have. */
const KNOWN_ELSEWHERE = ['pci-devices', 'numa-topology', 'lldp', 'dmi-decode', 'usb-devices', 'extra-hardware'];

export type InspectionSources = {
  inventory: () => Promise<Inventory>;
  /** @throws when there is no disk that an image could go to */
  rootDisk: () => Promise<Disk>;
  /** base64 of a tar.gz. */
  logs: () => Promise<string>;
  log: (message: string) => void;
};

/**
 * The body of an inspection. A collector that fails is named in `error`, which makes the inspection fail in Ironic, where
 * the operator sees it; missing root disks are no error, as in IPA.
 * @param wanted names of ipa-inspection-collectors; default and logs when there are none
 */
export async function inspectionData(wanted: readonly string[], sources: InspectionSources): Promise<unknown> {
  const names = wanted.length > 0 ? wanted : COLLECTORS;
  const errors: string[] = [];
  const data: Partial<InspectionData> = {};
  const run = async (name: string, work: () => Promise<void>): Promise<void> => {
    if (!names.includes(name)) return;
    await work().catch((error: unknown) => errors.push(`collector ${name} failed: ${reasonOf(error)}`));
  };
  for (const name of names) {
    if ((COLLECTORS as readonly string[]).includes(name)) continue;
    if (KNOWN_ELSEWHERE.includes(name)) sources.log(`inspection goes without collector ${name}: this agent has none`);
    else errors.push(`no collector is called ${name}; there are ${COLLECTORS.join(', ')}`);
  }
  await run('default', async () => {
    const inventory = await sources.inventory();
    const disk = await sources.rootDisk().catch((error: unknown) => {
      sources.log(`inspection goes without a root disk: ${reasonOf(error)}`);
    });
    data.inventory = inventory;
    if (disk) data.root_disk = disk;
    data.boot_interface = inventory.boot.pxe_interface;
    data.configuration = {
      collectors: names.filter((name) => (COLLECTORS as readonly string[]).includes(name)),
      managers: Object.entries(HARDWARE_MANAGER_VERSION).map(([name, version]) => ({ name, version })),
    };
  });
  await run('logs', async () => {
    data.logs = await sources.logs();
  });
  const error =
    errors.length === 0
      ? null
      : `The following errors were encountered:\n${errors.map((text) => `* ${text}`).join('\n')}`;
  return { ...data, error };
}
