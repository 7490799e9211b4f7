import type { MethodName } from '../../evidence/methods.ts';
import type { SanitizeKinds } from './abilities.ts';
import {
  absent,
  AVAILABLE,
  blocked,
  foreign,
  type Availability,
  type MethodSpec,
  type Subject,
  writeRate,
} from './method-spec.ts';
import { OPAL, scsiSanitize } from './methods-scsi.ts';
import type { EraseSettings } from './settings.ts';

/** How often our own writing goes over the disk. */
export function passesOf(settings: EraseSettings): ('pattern' | 'zeros')[] {
  return [
    ...Array.from({ length: settings.agent_erase_devices_iterations }, () => 'pattern' as const),
    ...(settings.agent_erase_devices_zeroize ? (['zeros'] as const) : []),
  ];
}

function noNvme({ disk, abilities, settings }: Subject): Availability | undefined {
  if (!disk.kname.startsWith('nvme')) return foreign('it is no NVMe disk');
  if (!settings.agent_enable_nvme_secure_erase) return absent('agent_enable_nvme_secure_erase is false');
  if (abilities.missing.includes('nvme'))
    return absent('the tool nvme is not in this ramdisk: build it with the element erase-tools');
  return abilities.nvme === undefined ? absent('the disk does not say what it can do') : undefined;
}

const OWN_BUSES = new Set(['pcie', 'apple-nvme']);

/** Another namespace would lose its data, too: whoever owns that one has not asked for it. */
function noNeighbours({ disk }: Subject): Availability | undefined {
  const { neighbours = [], transport = null } = disk.nvme ?? {};
  // One that the kernel does not reach by a bus of the machine: NVMe over Fabrics (`drivers/nvme/host`: tcp, rdma, fc, loop).
  if (transport !== null && !OWN_BUSES.has(transport))
    return absent(
      `it is reached over ${transport}: other machines may have namespaces there, and would lose them, too`,
    );
  return neighbours.length === 0 ? undefined : absent(`it would erase ${neighbours.join(', ')}, too`);
}

function nvmeSanitize(kind: keyof SanitizeKinds, name: MethodName): MethodSpec {
  return {
    name,
    isDevices: true,
    look: (subject) => {
      const no = noNvme(subject) ?? noNeighbours(subject);
      if (no) return no;
      return subject.abilities.nvme?.sanitize[kind] ? AVAILABLE : absent('the disk does not have it');
    },
    minutes: (subject) => (kind === 'overwrite' ? (subject.disk.disk.size / writeRate(subject) / 60) * 2 : 2),
  };
}

function nvmeFormat(name: MethodName, needsCrypto: boolean): MethodSpec {
  return {
    name,
    isDevices: true,
    look: (subject) => {
      const no = noNvme(subject);
      if (no) return no;
      const { nvme } = subject.abilities;
      if (!nvme?.canFormat || (needsCrypto && !nvme.hasCryptoErase)) return absent('the disk does not have it');
      return (nvme.formatsAll ? noNeighbours(subject) : undefined) ?? AVAILABLE;
    },
    minutes: () => 2,
  };
}

function noAta({ abilities, settings }: Subject): Availability | undefined {
  if (!settings.agent_enable_ata_secure_erase) return absent('agent_enable_ata_secure_erase is false');
  if (abilities.missing.includes('hdparm'))
    return absent('the tool hdparm is not in this ramdisk: build it with the element erase-tools');
  return abilities.ata === undefined ? foreign('it is no ATA disk') : undefined;
}

function ataSanitize(kind: keyof SanitizeKinds, name: MethodName): MethodSpec {
  return {
    name,
    isDevices: true,
    look: (subject) => {
      const no = noAta(subject);
      if (no) return no;
      return subject.abilities.ata?.sanitize[kind] ? AVAILABLE : absent('the disk does not have it');
    },
    minutes: (subject) => (kind === 'overwrite' ? (subject.disk.disk.size / writeRate(subject) / 60) * 1.5 : 3),
  };
}

function ataSecurityErase(name: MethodName, isEnhanced: boolean): MethodSpec {
  return {
    name,
    isDevices: true,
    look: (subject) => {
      const no = noAta(subject);
      if (no) return no;
      const { ata } = subject.abilities;
      if (!ata?.isSupported || (isEnhanced && !ata.hasEnhanced)) return absent('the disk does not have it');
      if (ata.isFrozen)
        return blocked(
          'the firmware of the machine has frozen the disk’s security until it loses power: plug it in again while the machine runs, or switch the freeze off in the firmware',
        );
      if (ata.isLocked && ata.isEnabled)
        return blocked('somebody has locked the disk with a password: unlock it with hdparm --security-unlock');
      return AVAILABLE;
    },
    minutes: ({ abilities: { ata } }) => (isEnhanced ? ata?.enhancedMinutes : ata?.eraseMinutes) ?? null,
  };
}

function overwrite(name: MethodName, last: 'zeros' | 'pattern'): MethodSpec {
  return {
    name,
    isDevices: false,
    look: ({ settings }) => {
      const passes = passesOf(settings);
      if (passes.length === 0)
        return absent('agent_erase_devices_iterations and agent_erase_devices_zeroize ask for no pass');
      return passes.at(-1) === last ? AVAILABLE : absent(`the last pass writes ${passes.at(-1)}`);
    },
    minutes: (subject) => (subject.disk.disk.size * passesOf(subject.settings).length) / writeRate(subject) / 60,
  };
}

const DISCARD: MethodSpec = {
  name: 'discard',
  isDevices: false,
  look: ({ disk }) => ((disk.limits.discardMaxBytes ?? 0) > 0 ? AVAILABLE : absent('the disk takes no discard')),
  minutes: () => 1,
};

const METADATA: MethodSpec = { name: 'metadata', isDevices: false, look: () => AVAILABLE, minutes: () => 0 };

/** All methods, strongest first, and of equals the quicker one. */
export const METHODS: readonly MethodSpec[] = [
  nvmeSanitize('block', 'nvme-sanitize-block'),
  nvmeSanitize('crypto', 'nvme-sanitize-crypto'),
  nvmeSanitize('overwrite', 'nvme-sanitize-overwrite'),
  ataSanitize('block', 'ata-sanitize-block'),
  ataSanitize('crypto', 'ata-sanitize-crypto'),
  ataSanitize('overwrite', 'ata-sanitize-overwrite'),
  scsiSanitize('block', 'scsi-sanitize-block'),
  scsiSanitize('crypto', 'scsi-sanitize-crypto'),
  scsiSanitize('overwrite', 'scsi-sanitize-overwrite'),
  OPAL,
  nvmeFormat('nvme-format-crypto', true),
  nvmeFormat('nvme-format-user-data', false),
  ataSecurityErase('ata-security-erase-enhanced', true),
  ataSecurityErase('ata-security-erase', false),
  overwrite('overwrite-zeros', 'zeros'),
  overwrite('overwrite-pattern', 'pattern'),
  DISCARD,
  METADATA,
];
