import type { MethodName } from '../../evidence/methods.ts';
import type { SanitizeKinds } from './abilities.ts';
import {
  absent,
  AVAILABLE,
  foreign,
  type Availability,
  type MethodSpec,
  type Subject,
  writeRate,
} from './method-spec.ts';

function noScsi({ abilities, settings }: Subject): Availability | undefined {
  if (!settings.agent_enable_ata_secure_erase) return absent('agent_enable_ata_secure_erase is false');
  if (abilities.missing.includes('sg_opcodes'))
    return absent('the tools of sg3-utils are not in this ramdisk: build it with the element sg3-utils');
  return abilities.scsi === undefined ? foreign('it is no SCSI disk') : undefined;
}

export function scsiSanitize(kind: keyof SanitizeKinds, name: MethodName): MethodSpec {
  return {
    name,
    isDevices: true,
    look: (subject) => {
      const no = noScsi(subject);
      if (no) return no;
      const { scsi } = subject.abilities;
      if (!scsi?.sanitize[kind]) return absent('the disk does not have it');
      if (scsi.takesOthers[kind]) return absent('it would erase other logical units of the same device, too');
      const after = kind === 'overwrite' ? 'possible' : scsi.readsAfter[kind];
      return after.startsWith('an error')
        ? absent(`a read gives ${after} afterwards, as the disk says: nothing could be proved`)
        : AVAILABLE;
    },
    minutes: (subject) => (kind === 'overwrite' ? (subject.disk.disk.size / writeRate(subject) / 60) * 1.5 : 3),
  };
}

export const OPAL: MethodSpec = {
  name: 'opal-psid-revert',
  isDevices: true,
  look: ({ psid, abilities }) => {
    if (psid === undefined) return foreign('no PSID was given for it');
    if (abilities.missing.includes('sedutil-cli'))
      return absent('the tool sedutil-cli is not in this ramdisk: build it with the element sedutil');
    return abilities.opal?.isSupported
      ? AVAILABLE
      : absent('it says nothing of TCG Opal; an ATA disk does so only with the kernel parameter libata.allow_tpm=1');
  },
  minutes: () => 1,
};
