import type { Acceleration } from '../../../machine/arguments.ts';
import type { UserImage } from '../../lab/user-image.ts';
import type { FlowName } from './flows.ts';

/** All that the part in the namespaces needs to know; it has no network and asks nobody. */
export type Plan = {
  /** Logs and the report go there; everything else in it is removed. */
  folder: string;
  /** Archive of Ironic's tree. */
  tree: string;
  /** Root of the tools' tree. */
  tools: string;
  arch: string;
  acceleration: Acceleration;
  ramdisk: { kernel: string; initramfs: string };
  image: Pick<UserImage, 'raw' | 'qcow2' | 'virtualBytes'>;
  memoryMiB: number;
  flows: readonly FlowName[];
  /** Both directions of the wire are written down. */
  record: boolean;
};

/** Files in a run's folder. */
export const FILES = {
  plan: 'plan.json',
  report: 'report.json',
  /** Ironic's tree, unpacked. */
  tree: 'ironic-tree',
  /** Where images and ramdisk are mounted for the web server. */
  given: 'given',
  machine: 'machine',
  wire: 'wire',
  ironicLog: 'ironic.log',
  imagesLog: 'images.log',
  logs: 'ironic-logs',
} as const;
