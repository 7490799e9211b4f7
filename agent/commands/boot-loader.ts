import { Type } from 'typebox';

import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { makeBootEntries } from '../disk/boot-entries.ts';
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

/** agent-protocol I.8: boot entries where the machine booted by UEFI; else whole-disk images bring their own boot loader. */
async function installBootloader(deps: AgentDeps, params: Request, context: CommandContext): Promise<null> {
  const { path } = await findTarget(deps);
  if ((await firmwareOf(deps)) === 'uefi') {
    context.progress({ phase: 'make boot entries' });
    const made = await makeBootEntries(deps.os, path, params.efi_system_part_uuid);
    for (const entry of made) context.log(`boot entry ${entry.label}: ${entry.path} on ${path}`);
    if (made.length > 0) return null;
  }
  const { root_uuid: root } = params;
  if (root === undefined || root === null || root === '0x00000000') return null;
  throw new AgentError(
    'InvalidImage',
    `cannot make ${path} bootable: no boot loader was found on its EFI system partition, and installing one (GRUB) is not supported; use an image that brings its own`,
  );
}

export const BOOT_LOADER_COMMAND: CommandSpec<AgentDeps> = {
  name: 'image.install_bootloader',
  mode: 'async',
  summary: "Makes UEFI boot entries for the image's boot loaders.",
  params: Params,
  run: async (deps, params: Request, context) => {
    try {
      return await installBootloader(deps, params, context);
    } catch (error) {
      if ((params.ignore_bootloader_failure ?? deps.config.ignoreBootloaderFailure) !== true) throw error;
      context.log(`boot entries were not made, which the conductor wants ignored: ${reasonOf(error)}`);
      return null;
    }
  },
};
