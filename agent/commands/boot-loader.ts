import { Type } from 'typebox';

import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { makeBootEntries } from '../disk/boot-entries.ts';
import { hasBiosLoader, installGrub } from '../disk/grub.ts';
import { copyBootFiles, type EspName } from '../disk/image-boot-files.ts';
import { listPartitions } from '../disk/partitions.ts';
import { makeRaidBootable } from '../raid/boot.ts';
import { nodeBootMode } from '../hardware/boot-mode.ts';
import type { CommandContext, CommandSpec } from '../engine/command-table.ts';
import type { AgentDeps } from './deps.ts';
import { findTarget, firmwareOf } from './target.ts';

const nullableText = Type.Optional(Type.Union([Type.String(), Type.Null()]));

const Params = Type.Object({
  root_uuid: nullableText,
  efi_system_part_uuid: nullableText,
  prep_boot_part_uuid: nullableText,
  target_boot_mode: nullableText,
  ignore_bootloader_failure: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
});
type Request = {
  root_uuid?: string | null;
  efi_system_part_uuid?: string | null;
  ignore_bootloader_failure?: boolean | null;
};

/** The partition that a UUID of Ironic's names: of its file system, or its own. */
async function findByUuid(
  { os }: AgentDeps,
  path: string,
  uuid: string | null | undefined,
): Promise<{ device: string; name: EspName } | undefined> {
  const wanted = uuid?.toLowerCase();
  if (wanted === undefined) return undefined;
  for (const { kname, uuid: own, partuuid } of await listPartitions(os, path)) {
    const device = `/dev/${kname}`;
    if (own !== null && own.toLowerCase() === wanted) return { device, name: { kind: 'UUID', value: own } };
    if (partuuid !== null && partuuid.toLowerCase() === wanted)
      return { device, name: { kind: 'PARTUUID', value: partuuid } };
  }
  return undefined;
}

async function tellEntries(deps: AgentDeps, path: string, params: Request, context: CommandContext): Promise<boolean> {
  context.progress({ phase: 'make boot entries' });
  const made = await makeBootEntries(deps.os, path, params.efi_system_part_uuid);
  for (const entry of made) context.log(`boot entry ${entry.label}: ${entry.path} on ${path}`);
  return made.length > 0;
}

/** A partition image has the boot loader's files in its root, if it has them at all. */
async function useImagesLoader(
  deps: AgentDeps,
  path: string,
  params: Request,
  context: CommandContext,
): Promise<boolean> {
  const root = await findByUuid(deps, path, params.root_uuid);
  const esp = await findByUuid(deps, path, params.efi_system_part_uuid);
  if (!root || !esp) return false;
  context.progress({ phase: 'copy boot loader' });
  const isCopied = await copyBootFiles(deps.os, root.device, esp.device, esp.name);
  return isCopied && (await tellEntries(deps, path, params, context));
}

async function useGrub(deps: AgentDeps, path: string, params: Request, context: CommandContext): Promise<void> {
  const { os } = deps;
  const isUefi = (await firmwareOf(deps)) === 'uefi';
  const esp = isUefi ? await findByUuid(deps, path, params.efi_system_part_uuid) : undefined;
  if (!esp && (await hasBiosLoader(os, path))) {
    context.log(`${path} has a boot loader already`);
    return;
  }
  const root = await findByUuid(deps, path, params.root_uuid);
  if (!root)
    throw new AgentError('DeviceNotFound', `No partition with UUID ${params.root_uuid} found on device ${path}`);
  context.progress({ phase: 'install GRUB' });
  await installGrub(os, { root: root.device, disks: [path], esp, log: context.log });
  if (isUefi) await tellEntries(deps, path, params, context);
}

/**
 * agent-protocol I.8: boot entries where the machine booted by UEFI; else whole-disk images bring their own boot loader, and partition
 * images get one.
 */
async function installBootloader(deps: AgentDeps, params: Request, context: CommandContext): Promise<null> {
  const { path, node } = await findTarget(deps);
  const firmware = await firmwareOf(deps);
  const isUefi = firmware === 'uefi';
  const mirrored = await makeRaidBootable(deps.os, path, nodeBootMode(node, firmware), context.log);
  for (const entry of mirrored ?? []) context.log(`boot entry ${entry.label}: ${entry.path}`);
  if (mirrored !== undefined && mirrored.length > 0) return null;
  if (mirrored === undefined && isUefi && (await tellEntries(deps, path, params, context))) return null;
  const { root_uuid: root } = params;
  if (root === undefined || root === null || root === '0x00000000') return null;
  if (isUefi && (await useImagesLoader(deps, path, params, context))) return null;
  if (!deps.config.enableBiosBootloaderInstall)
    throw new AgentError(
      'InvalidImage',
      `cannot make ${path} bootable: ${isUefi ? 'neither its EFI system partition nor /boot/efi of the image has a boot loader' : 'its image brings no boot loader'}, and installing one with the programs of the image is disabled (CVE-2026-43003); use a whole-disk image, or set enable_bios_bootloader_install`,
    );
  await useGrub(deps, path, params, context);
  return null;
}

export const BOOT_LOADER_COMMAND: CommandSpec<AgentDeps> = {
  name: 'image.install_bootloader',
  mode: 'async',
  summary:
    "Makes UEFI boot entries for the image's boot loaders; for a partition image brings the loader where it belongs.",
  params: Params,
  run: async (deps, params: Request, context) => {
    try {
      return await installBootloader(deps, params, context);
    } catch (error) {
      if ((params.ignore_bootloader_failure ?? deps.config.ignoreBootloaderFailure) !== true) throw error;
      context.log(`the boot loader was not set up, which the conductor wants ignored: ${reasonOf(error)}`);
      return null;
    }
  },
};
