import { Type } from 'typebox';

import { AgentError } from '../api/errors.ts';
import { wipeMetadata } from '../disk/erase-metadata.ts';
import { withDevice } from '../disk/partitions.ts';
import { diskSignature } from '../disk/tables.ts';
import type { CommandContext, CommandSpec } from '../engine/command-table.ts';
import { deliverImage } from '../image/deliver.ts';
import { type ImageRequest, readImageInfo } from '../image/request.ts';
import { BOOT_LOADER_COMMAND } from './boot-loader.ts';
import { BOOTC_COMMAND } from './bootc.ts';
import type { AgentDeps } from './deps.ts';
import { finishDisk } from './finish-disk.ts';
import { deliveryOptions, fetchConfigDrive, imageRequest } from './image-request.ts';
import { type PartitionUuids, writePartitionImage } from './partition-image.ts';
import { findTarget, guardTarget } from './target.ts';

/** UUIDs of the image that was written last, for `standby.get_partition_uuids`; by node, so that two agents in one process do not mix. */
const lastWritten = new WeakMap<AgentDeps['node'], PartitionUuids | { 'root uuid': string }>();

async function writeWholeDisk(
  deps: AgentDeps,
  request: ImageRequest,
  path: string,
  drive: Buffer | undefined,
  context: CommandContext,
): Promise<{ 'root uuid': string }> {
  const { os } = deps;
  const written = await withDevice(os, path, 'write', (device) =>
    deliverImage({
      request,
      options: deliveryOptions(deps),
      os,
      device,
      wipe: () => wipeMetadata(os, device),
      progress: context.progress,
      signal: context.signal,
    }),
  );
  const { format, imageBytes, verified } = written;
  const readBack = `${verified.bytes} bytes were read back (${verified.level})`;
  context.log(`image ${request.id} (${format}, ${imageBytes} bytes) is on ${path}, verified; ${readBack}`);
  await finishDisk(deps, path, drive, context);
  return { 'root uuid': await diskSignature(os, path) };
}

/** What Ironic logs. It names the EFI system partition where Ironic said that the machine starts by UEFI (IPA `_message_format`). */
function resultText(
  { id, partition }: ImageRequest,
  path: string,
  uuids: PartitionUuids | { 'root uuid': string },
): string {
  const esp = 'efi system partition uuid' in uuids ? uuids['efi system partition uuid'] : null;
  const isTold = partition?.bootMode === 'uefi' && esp !== null;
  return `image (${id}) written to device ${path} root_uuid=${uuids['root uuid']}${isTold ? ` efi_system_partition_uuid=${esp}` : ''}`;
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
  lastWritten.delete(deps.node);
  context.progress({ phase: 'choose disk' });
  // Everything that can be refused is refused before the disk is touched.
  const drive = await fetchConfigDrive(deps, configDrive ?? request.configDrive, context.signal);
  const { path, node } = await findTarget(deps);
  await guardTarget(deps, path);
  const { partition } = request;
  const uuids = partition
    ? await writePartitionImage(deps, { request, partition, drive, path, node, context })
    : await writeWholeDisk(deps, request, path, drive, context);
  lastWritten.set(deps.node, uuids);
  return resultText(request, path, uuids);
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
    summary: 'Names the disk that was written last by its MBR signature, or the partitions of a partition image.',
    params: Type.Object({}),
    run: async (deps) => lastWritten.get(deps.node) ?? {},
  },
  BOOTC_COMMAND,
  BOOT_LOADER_COMMAND,
];
