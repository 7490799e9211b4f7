import { AgentError } from '../api/errors.ts';

/** What an `image_info` says of the partitions of a partition image (agent-protocol I.1). Sizes in MiB. */
export type PartitionRequest = {
  rootMib: number;
  swapMib: number;
  ephemeralMib: number;
  ephemeralFormat: string;
  preserveEphemeral: boolean;
  /** What Ironic says that the machine will start by; undefined when it does not say. */
  bootMode: string | undefined;
};

/** Ironic's own default (`[pxe] default_ephemeral_format`), which it sends. */
const DEFAULT_EPHEMERAL_FORMAT = 'ext4';

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', `cannot use image_info: ${why}`);
}

/** Sizes are numbers, and with some callers their digits; null is 0. */
function readSize(info: Record<string, unknown>, key: string): number {
  const value = info[key] ?? 0;
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0)
    throw refuse(`${key} is not a number of MiB or GiB, 0 or more`);
  return number;
}

/** A size that may be given in MiB or, for whole GiB, under another key. */
function readMib(info: Record<string, unknown>, mib: string, gib: string): number {
  return readSize(info, mib) || readSize(info, gib) * 1024;
}

function readText(info: Record<string, unknown>, key: string): string | undefined {
  const value = info[key] ?? undefined;
  if (value === undefined || value === '') return undefined;
  if (typeof value !== 'string') throw refuse(`${key} is not text`);
  return value;
}

/**
 * Reads what a partition image needs beside what every image does.
 * @throws AgentError `InvalidCommandParamsError` that names the key
 */
export function readPartitionRequest(info: Record<string, unknown>): PartitionRequest {
  const rootMib = readMib(info, 'root_mb', 'root_gb');
  if (rootMib === 0) throw refuse('a partition image needs root_gb, the size of its root partition');
  const preserve = info['preserve_ephemeral'] ?? false;
  if (typeof preserve !== 'boolean') throw refuse('preserve_ephemeral is neither true nor false');
  const ephemeralMib = readMib(info, 'ephemeral_mb', 'ephemeral_gb');
  if (preserve && ephemeralMib === 0) throw refuse('preserve_ephemeral needs ephemeral_gb');
  return {
    rootMib,
    swapMib: readSize(info, 'swap_mb'),
    ephemeralMib,
    ephemeralFormat: readText(info, 'ephemeral_format') ?? DEFAULT_EPHEMERAL_FORMAT,
    preserveEphemeral: preserve,
    bootMode: readText(info, 'deploy_boot_mode'),
  };
}
