import type { Details } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';
import { meaning, type SmbiosStructure, textAt } from './smbios.ts';

type Firmware = Details['firmware'];
type Files = Pick<AgentOs, 'files'>;

const BIOS = 0;
const FIRMWARE_INVENTORY = 45;

/** The BIOS or UEFI itself, and where firmware lists them (SMBIOS 3.5, 7.46) BMC, CPLDs and others. */
function fromDmi(structures: readonly SmbiosStructure[]): Firmware {
  return structures.flatMap((structure) => {
    const row = (component: string | null, version: number, vendor: number, date: number): Firmware => {
      const found = meaning(textAt(structure, version));
      if (component === null || found === null) return [];
      return [
        {
          component,
          version: found,
          vendor: meaning(textAt(structure, vendor)),
          date: meaning(textAt(structure, date)),
        },
      ];
    };
    if (structure.type === BIOS) return row('BIOS', 0x05, 0x04, 0x08);
    return structure.type === FIRMWARE_INVENTORY ? row(meaning(textAt(structure, 0x04)), 0x05, 0x0a, 0x09) : [];
  });
}

/** Disks: NVMe and ATA/SCSI show their revision below the block device. */
async function ofDisks({ files }: Files): Promise<Firmware> {
  const folder = '/sys/class/block';
  const names = (await files.list(folder)).filter((name) => !/^(?:loop|ram|zram|fd|sr|dm-|md)\d/.test(name));
  const found = await Promise.all(
    names.toSorted().map(async (name): Promise<Firmware> => {
      const read = async (file: string) => meaning(await files.read(`${folder}/${name}/device/${file}`));
      const version = (await read('firmware_rev')) ?? (await read('rev'));
      if (version === null) return [];
      return [{ component: `/dev/${name}`, version, vendor: await read('vendor'), date: null }];
    }),
  );
  return found.flat();
}

/** Network cards whose RDMA driver shows it (Mellanox, Broadcom, Intel E800): nothing else of sysfs does. */
async function ofNetworkCards({ files }: Files): Promise<Firmware> {
  const names = (await files.list('/sys/class/net')).toSorted();
  const found = await Promise.all(
    names.map(async (name): Promise<Firmware> => {
      const folder = `/sys/class/net/${name}/device/infiniband`;
      const [rdma] = await files.list(folder);
      const version = rdma === undefined ? null : meaning(await files.read(`${folder}/${rdma}/fw_ver`));
      return version === null ? [] : [{ component: name, version, vendor: null, date: null }];
    }),
  );
  return found.flat();
}

/** Versions of all firmware that can be read without a tool of its maker. */
export async function listFirmware(os: Files, structures: readonly SmbiosStructure[]): Promise<Firmware> {
  const [disks, cards] = await Promise.all([ofDisks(os), ofNetworkCards(os)]);
  return [...fromDmi(structures), ...cards, ...disks];
}
