/** A ramdisk that takes part. */
export type Ramdisk = {
  name: 'Ingot' | 'IPA';
  /** Versions, for the report. */
  description: string;
  kernel: string;
  initramfs: string;
  kernelBytes: number;
  initramfsBytes: number;
};
