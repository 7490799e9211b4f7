import type { ReadsAfter } from './scsi-words.ts';

/** Three ways of Sanitize that NVMe, ATA and SCSI have alike. */
export type SanitizeKinds = { block: boolean; crypto: boolean; overwrite: boolean };

export type NvmeAbilities = {
  /** `/dev/nvme0`: what takes Sanitize. */
  controller: string;
  canFormat: boolean;
  hasCryptoErase: boolean;
  /** A format, or a format with secure erase, takes all namespaces. */
  formatsAll: boolean;
  sanitize: SanitizeKinds;
  /** Of the device's own log. */
  sanitizeState: NvmeSanitizeState;
  /** As the device said them. */
  words: { oacs: number; fna: number; sanicap: number };
};
export type NvmeSanitizeState = 'idle' | 'done' | 'running' | 'failed';

export type AtaAbilities = {
  isSupported: boolean;
  isEnabled: boolean;
  isLocked: boolean;
  isFrozen: boolean;
  hasEnhanced: boolean;
  eraseMinutes: number | null;
  enhancedMinutes: number | null;
  sanitize: SanitizeKinds;
  /** The lines of `hdparm -I` that this was made of. */
  words: string[];
};

export type ScsiAbilities = {
  sanitize: SanitizeKinds;
  /** It would erase other logical units of the same device, too. */
  takesOthers: SanitizeKinds;
  /** What the disk says of reads after a sanitize, before something is written. */
  readsAfter: { block: ReadsAfter; crypto: ReadsAfter };
};

/** TCG Opal, as `sedutil-cli --query` says it. */
export type OpalAbilities = {
  isSupported: boolean;
  isLocked: boolean;
  /** The lines of it that this was made of. */
  words: string[];
};

/** What a disk says it can do about erasing itself. Undefined: it is no such disk, or nobody can ask it. */
export type Abilities = {
  nvme: NvmeAbilities | undefined;
  ata: AtaAbilities | undefined;
  scsi: ScsiAbilities | undefined;
  /** Only of a disk that a PSID was given for. */
  opal: OpalAbilities | undefined;
  /** Tools that would have been asked and are not in this ramdisk. */
  missing: string[];
  hidden: { hpa: string; dco: string };
  /** Sectors that the host does not see, when there are any. */
  hasHiddenSectors: boolean;
};
