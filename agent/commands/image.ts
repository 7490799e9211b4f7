import { Type } from 'typebox';

import { reasonOf } from '../../system/failure.ts';
import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import {
  checkConfigDriveFits,
  MOST_CONFIG_DRIVE_BYTES,
  unpackConfigDrive,
  writeConfigDrive,
} from '../disk/config-drive.ts';
import { clientTls } from '../config/tls.ts';
import { wipeMetadata } from '../disk/erase-metadata.ts';
import { examineDevice } from '../disk/examine.ts';
import { refuseGuarded } from '../disk/guard.ts';
import { makeBootEntries } from '../disk/boot-entries.ts';
import { listPartitions, rereadPartitions, withDevice } from '../disk/partitions.ts';
import { diskSignature, moveBackupGpt } from '../disk/tables.ts';
import type { CommandContext, CommandSpec } from '../engine/command-table.ts';
import { findRootDisk } from '../hardware/inventory.ts';
import { rootDeviceHints } from '../hardware/root-disk.ts';
import { isUrl } from '../image/checksum.ts';
import { deliverImage } from '../image/deliver.ts';
import type { HttpOptions } from '../image/http-request.ts';
import { fetchSmallFile } from '../image/open.ts';
import { type ImageRequest, readImageInfo } from '../image/request.ts';
import type { AgentDeps } from './deps.ts';

/** Where an element or a medium may have put images that `file://` URLs name; the agent's own files and devices are elsewhere. */
const IMAGE_FOLDERS = ['/media', '/mnt', '/srv', '/shared/html', '/var/lib/ironic'];

/** UUIDs of the image that was written last, for `standby.get_partition_uuids`; by node, so that two agents in one process do not mix. */
const lastWritten = new WeakMap<AgentDeps['node'], { 'root uuid': string }>();

function httpOptions({ config, tlsFiles }: AgentDeps): HttpOptions {
  return {
    timeoutMs: config.imageDownloadConnectionTimeoutSeconds * 1000,
    retries: config.imageDownloadConnectionRetries,
    retryIntervalMs: config.imageDownloadConnectionRetryIntervalSeconds * 1000,
    tls: clientTls(config, tlsFiles),
  };
}

/** Reads `image_info`; what it leaves open about the image server is as the machine's configuration says. */
function imageRequest({ config }: AgentDeps, imageInfo: unknown): ImageRequest {
  const server = {
    image_server_auth_strategy: config.imageServerAuthStrategy,
    image_server_user: config.imageServerUser,
    image_server_password: config.imageServerPassword,
  };
  const isObject = typeof imageInfo === 'object' && imageInfo !== null;
  return readImageInfo(isObject ? { ...server, ...imageInfo } : imageInfo, config.md5Enabled);
}

/** The node whose hints count: without hints Ironic is asked once more, because they may have been set since the boot. */
async function nodeWithHints(deps: AgentDeps): Promise<Node | undefined> {
  const node = deps.node.current;
  if (rootDeviceHints(node)) return node;
  const fresh = await deps.refreshNode();
  return fresh ?? node;
}

async function fetchConfigDrive(
  deps: AgentDeps,
  request: ImageRequest,
  argument: string | null | undefined,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const value = argument ?? request.configDrive;
  if (value === undefined || value === '') return undefined;
  if (!isUrl(value)) return unpackConfigDrive(Buffer.from(value, 'latin1'));
  // Base64 makes it a third longer.
  const most = Math.ceil((MOST_CONFIG_DRIVE_BYTES * 4) / 3) + 4096;
  return unpackConfigDrive(await fetchSmallFile(value, { http: httpOptions(deps), os: deps.os }, most, signal));
}

/** A disk may be written when nothing of it is in use or shared with other machines. A removable one is the operator's choice. */
async function guardRootDisk({ os, config }: AgentDeps, path: string): Promise<void> {
  const disk = await examineDevice(os, path);
  if (disk === undefined) throw new AgentError('DeviceNotFound', `cannot write to ${path}: it is gone`);
  refuseGuarded(disk, {
    skipped: new Set(),
    guardShared: config.guardSpecialFilesystems,
    guardContents: [],
    guardRemovable: false,
  });
}

async function checkResult(deps: AgentDeps, path: string): Promise<void> {
  const { os } = deps;
  await rereadPartitions(os, path);
  await moveBackupGpt(os, path);
  await rereadPartitions(os, path);
  const partitions = await listPartitions(os, path);
  if (partitions.length === 0)
    throw new AgentError(
      'DeploymentError',
      `cannot use what was written to ${path}: the kernel finds no partitions on it`,
    );
}

/**
 * Writes an image to the root disk and the config drive beside it.
 * @returns text as Ironic logs it
 */
async function prepareImage(
  deps: AgentDeps,
  request: ImageRequest,
  configDrive: string | null | undefined,
  context: CommandContext,
): Promise<string> {
  const { os, config } = deps;
  lastWritten.delete(deps.node);
  context.progress({ phase: 'choose disk' });
  // Everything that can be refused is refused before the disk is touched.
  const drive = await fetchConfigDrive(deps, request, configDrive, context.signal);
  const { name: path } = await findRootDisk(os, await nodeWithHints(deps));
  await guardRootDisk(deps, path);
  const written = await withDevice(os, path, 'write', async (device) => {
    if (drive) checkConfigDriveFits(device.sectorBytes, path);
    return deliverImage({
      request,
      options: {
        http: httpOptions(deps),
        isMd5Allowed: config.md5Enabled,
        permittedFormats: config.disableDeepImageInspection ? undefined : config.permittedImageFormats,
        maxDurationMs: config.imageDownloadMaxDurationSeconds * 1000,
        fileFolders: IMAGE_FOLDERS,
      },
      os,
      device,
      wipe: () => wipeMetadata(os, device),
      progress: context.progress,
      signal: context.signal,
    });
  });
  context.log(`image ${request.id} (${written.format}, ${written.imageBytes} bytes) is on ${path}, verified`);
  context.progress({ phase: 'read partitions' });
  await checkResult(deps, path);
  if (drive) {
    context.progress({ phase: 'write config drive' });
    const partition = await writeConfigDrive(os, path, drive);
    context.log(`config drive is on ${partition}`);
  }
  const uuid = await diskSignature(os, path);
  lastWritten.set(deps.node, { 'root uuid': uuid });
  return `image (${request.id}) written to device ${path} root_uuid=${uuid}`;
}

/** The deploy and service step `write_image`; its result is that of `prepare_image`, as ironic-python-agent nests it. */
export async function runWriteImage(
  deps: AgentDeps,
  args: Record<string, unknown>,
  context: CommandContext,
): Promise<{ result: string }> {
  const request = imageRequest(deps, args['image_info']);
  const configDrive = args['configdrive'];
  if (configDrive !== undefined && configDrive !== null && typeof configDrive !== 'string')
    throw new AgentError('InvalidCommandParamsError', 'cannot use the config drive: configdrive is no text');
  return { result: `prepare_image: ${await prepareImage(deps, request, configDrive, context)}` };
}

const nullableText = Type.Optional(Type.Union([Type.String(), Type.Null()]));
type PrepareParams = { image_info: unknown; configdrive?: string | null };

const BootloaderParams = Type.Object({
  root_uuid: nullableText,
  efi_system_part_uuid: nullableText,
  prep_boot_part_uuid: nullableText,
  target_boot_mode: nullableText,
  ignore_bootloader_failure: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
});
type BootloaderRequest = {
  root_uuid?: string | null;
  efi_system_part_uuid?: string | null;
  ignore_bootloader_failure?: boolean | null;
};

async function isUefi({ os }: AgentDeps): Promise<boolean> {
  return os.files.exists('/sys/firmware/efi');
}

/** agent-protocol I.8: boot entries where the machine booted by UEFI; else whole-disk images bring their own boot loader. */
async function installBootloader(deps: AgentDeps, params: BootloaderRequest, context: CommandContext): Promise<null> {
  const { name: path } = await findRootDisk(deps.os, await nodeWithHints(deps));
  if (await isUefi(deps)) {
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

export const IMAGE_COMMANDS: readonly CommandSpec<AgentDeps>[] = [
  {
    name: 'standby.prepare_image',
    mode: 'async',
    summary: 'Writes an image and a config drive to the root disk.',
    params: Type.Object({ image_info: Type.Record(Type.String(), Type.Unknown()), configdrive: nullableText }),
    // Whether MD5 will do, and who logs in to the server, is for the configuration to say, when the command runs.
    validate: ({ image_info: info }: PrepareParams) =>
      void readImageInfo({ ...(info as object), image_server_auth_strategy: null }, true),
    run: (deps, params: PrepareParams, context) =>
      prepareImage(deps, imageRequest(deps, params.image_info), params.configdrive, context),
  },
  {
    name: 'standby.get_partition_uuids',
    mode: 'sync',
    summary: 'Names the disk that was written last: its MBR signature.',
    params: Type.Object({}),
    run: async (deps) => lastWritten.get(deps.node) ?? {},
  },
  {
    name: 'image.install_bootloader',
    mode: 'async',
    summary: "Makes UEFI boot entries for the image's boot loaders.",
    params: BootloaderParams,
    run: async (deps, params: BootloaderRequest, context) => {
      try {
        return await installBootloader(deps, params, context);
      } catch (error) {
        if ((params.ignore_bootloader_failure ?? deps.config.ignoreBootloaderFailure) !== true) throw error;
        context.log(`boot entries were not made, which the conductor wants ignored: ${reasonOf(error)}`);
        return null;
      }
    },
  },
];
