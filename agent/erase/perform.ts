import type { MethodName } from '../../evidence/methods.ts';
import type { Attempt } from '../../evidence/record.ts';
import type { ExaminedDisk } from '../disk/examine.ts';
import type { AgentOs } from '../os/door.ts';
import type { Abilities } from './abilities.ts';
import { ATA_PERFORMERS } from './perform-ata.ts';
import { NVME_PERFORMERS } from './perform-nvme.ts';
import { OWN_PERFORMERS } from './perform-own.ts';
import { SCSI_PERFORMERS } from './perform-scsi.ts';
import type { Recorder } from './recorder.ts';
import type { EraseSettings } from './settings.ts';

/** What a method works with on one disk. */
export type PerformContext = {
  os: AgentOs;
  disk: ExaminedDisk;
  abilities: Abilities;
  settings: EraseSettings;
  psid: string | undefined;
  /** 32 bytes as hex: of samples, canaries and patterns. */
  seed: string;
  /** They were written to the places that will be read back. */
  canaries: boolean;
  /** Known to whoever asked and to nobody who had the machine before: what makes a note on the disk trustworthy. */
  nonce: string | null;
  recorder: Recorder;
  signal: AbortSignal;
  /** @param share of the whole attempt, 0 to 1 @param what one word */
  progress: (share: number, what: string) => void;
  log: (message: string) => void;
};

/** What it takes to wait for a device that is at something already. */
export type SettleContext = Pick<
  PerformContext,
  'os' | 'disk' | 'abilities' | 'recorder' | 'signal' | 'progress' | 'log'
>;

export type Performed = Pick<Attempt, 'written' | 'gaps'>;
export type Perform = (context: PerformContext) => Promise<Performed>;

/** How each method is carried out. Each throws where the device, or the kernel, says that it failed. */
export const PERFORMERS: Readonly<Record<MethodName, Perform>> = {
  ...NVME_PERFORMERS,
  ...ATA_PERFORMERS,
  ...SCSI_PERFORMERS,
  ...OWN_PERFORMERS,
};
