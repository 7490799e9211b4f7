import { Type } from 'typebox';

import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { withDevice } from '../disk/partitions.ts';
import type { CommandContext, CommandSpec, StepSpec } from '../engine/command-table.ts';
import type { AgentDeps } from './deps.ts';
import { finishDisk } from './finish-disk.ts';
import { fetchConfigDrive } from './image-request.ts';
import { findTarget, guardTarget } from './target.ts';

const MIB = 1024 ** 2;
/** Left beside the root for the EFI system partition, which bootc makes, and a config drive. */
const BESIDE_ROOT_MIB = 768;
/** A root in memory cannot be pivoted away from. */
const NO_PIVOT = {
  path: '/etc/containers/containers.conf.d/01-ipa.conf',
  text: '[engine]\nno_pivot_root = true\n',
};
/** Only while podman pulls: no container may find it. */
const AUTH_FILE = '/run/ingot-agent/bootc-auth.json';
/** In a folder that the container sees, too. */
const KEYS_FILE = '/tmp/ingot-bootc-authorized-keys';
const LAST_WORDS = 12;

const nullableText = Type.Optional(Type.Union([Type.String(), Type.Null()]));
const Params = Type.Object({
  image_source: Type.String(),
  instance_info: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
  pull_secret: nullableText,
  configdrive: nullableText,
});
type Request = {
  image_source: string;
  instance_info?: Record<string, unknown> | null;
  pull_secret?: string | null;
  configdrive?: string | null;
};

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', `cannot deploy a container: ${why}`);
}

/** A name of an image: no blanks, and nothing that could be an option. */
const IMAGE = /^(?:[a-z0-9][\w.-]*|\[[\da-f:]+\])(?::\d+)?\/[\w./:@-]+$/i;

/** `oci://host/path:tag` to what podman calls it, and whose secret it is. */
function readSource(source: string): { image: string; host: string } {
  const image = source.replace(/^[a-z]+:\/\//i, '');
  if (!IMAGE.test(image)) throw refuse(`image_source is not oci://HOST/PATH (${JSON.stringify(source)})`);
  const [host = ''] = image.split('/');
  return { image, host };
}

function readKeys(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw refuse('bootc_authorized_keys is not text');
  return value;
}

async function checkPodman({ os }: AgentDeps): Promise<void> {
  try {
    await os.run('podman', ['--version'], { timeoutMs: 60_000 });
  } catch (error) {
    throw new AgentError(
      'CommandExecutionError',
      `cannot deploy a container: there is no podman in this ramdisk (${reasonOf(error)}); build it with an element that brings podman`,
      { cause: error },
    );
  }
}

/** Runs podman with its output in the log. @returns how it ended, and its last words */
async function callPodman(
  { os }: AgentDeps,
  args: readonly string[],
  context: CommandContext,
): Promise<{ exitCode: number | null; words: string[] }> {
  const words: string[] = [];
  const { exitCode } = await os.follow('podman', args, {
    signal: context.signal,
    onLine: (line) => {
      words.splice(0, Math.max(0, words.push(line) - LAST_WORDS));
      context.log(`podman: ${line}`);
    },
  });
  return { exitCode, words };
}

/** The image is pulled by itself, so that the registry's secret is gone before anything of the image runs. */
async function pull(deps: AgentDeps, request: Request, context: CommandContext): Promise<string> {
  const { image, host } = readSource(request.image_source);
  const secret = request.pull_secret ?? '';
  context.progress({ phase: 'pull container', message: image });
  if (secret !== '') {
    const auth = Buffer.from(secret, 'base64').toString('utf8');
    await deps.os.files.write(AUTH_FILE, JSON.stringify({ auths: { [host]: { auth } } }), 0o600);
  }
  try {
    const authfile = secret === '' ? [] : [`--authfile=${AUTH_FILE}`];
    const { exitCode, words } = await callPodman(deps, ['pull', ...authfile, '--retry-delay=5s', image], context);
    if (exitCode !== 0)
      throw new AgentError('ImageDownloadError', `Failed to pull container image ${image}: ${words.join('\n')}`);
  } finally {
    if (secret !== '') await deps.os.files.remove(AUTH_FILE);
  }
  return image;
}

/** `bootc install to-disk` of the image, in a container that has the machine's devices (agent-protocol I.9). */
async function installContainer(
  deps: AgentDeps,
  image: string,
  path: string,
  options: { keys: string | undefined; useTpm: boolean },
  context: CommandContext,
): Promise<void> {
  const { os } = deps;
  const sizeMib = await withDevice(os, path, 'read', async ({ sizeBytes }) => Math.floor(sizeBytes / MIB));
  const hasSelinux = await os.files.exists('/sys/fs/selinux/enforce');
  if (options.keys !== undefined) await os.files.write(KEYS_FILE, options.keys, 0o600);
  const args = [
    '--log-level=debug run --rm --privileged --pid=host --pull=never',
    '-v /var/lib/containers:/var/lib/containers -v /dev:/dev',
    options.keys === undefined ? '' : '-v /tmp:/tmp',
    hasSelinux ? '--security-opt label=type:unconfined_t' : '',
    `${image} bootc install to-disk --wipe --skip-fetch-check --root-size=${sizeMib - BESIDE_ROOT_MIB}M`,
    options.useTpm ? '--block-setup=tpm2-luks' : '',
    options.keys === undefined ? '' : `--root-ssh-authorized-keys=${KEYS_FILE}`,
    hasSelinux ? '' : '--disable-selinux',
    path,
  ].flatMap((words) => words.split(' ').filter((word) => word !== ''));
  context.progress({ phase: 'install container', message: `${image} on ${path}` });
  const { exitCode, words } = await callPodman(deps, args, context);
  if (words.some((line) => line.includes('executable file `bootc` not found')))
    throw new AgentError(
      'ImageDownloadError',
      'Container does not contain the required bootc binary and thus cannot be deployed.',
    );
  if (exitCode !== 0)
    throw new AgentError(
      'ImageWriteError',
      `cannot install ${image} on ${path}: podman ended with ${exitCode ?? 'a signal'}: ${words.join('\n')}`,
    );
}

async function deployContainer(deps: AgentDeps, request: Request, context: CommandContext): Promise<string> {
  const { os, config } = deps;
  if (config.disableBootcDeploy)
    throw new AgentError(
      'CommandExecutionError',
      'The bootc deploy interface is administratively disabled (disable_bootc_deploy). Deployment cannot proceed.',
    );
  // Everything that can be refused is refused before the disk is touched.
  const { bootc_authorized_keys: keys, bootc_tpm2_luks: tpm } = request.instance_info ?? {};
  const options = { keys: readKeys(keys), useTpm: tpm === true || tpm === 'true' };
  readSource(request.image_source);
  await checkPodman(deps);
  const drive = await fetchConfigDrive(deps, request.configdrive, context.signal);
  const { path } = await findTarget(deps);
  await guardTarget(deps, path);
  await os.files.makeDirectory(NO_PIVOT.path.split('/').slice(0, -1).join('/'));
  await os.files.write(NO_PIVOT.path, NO_PIVOT.text);
  const image = await pull(deps, request, context);
  await installContainer(deps, image, path, options, context);
  await finishDisk(deps, path, drive, context);
  return `Container image (${request.image_source}) written to device ${path}`;
}

export const BOOTC_COMMAND: CommandSpec<AgentDeps> = {
  name: 'standby.execute_bootc_install',
  mode: 'async',
  summary: 'Has a bootable container installed by itself on the root disk, where podman is in the ramdisk.',
  params: Params,
  run: (deps, params: Request, context) => deployContainer(deps, params, context),
};

/** As Ironic calls it; its result is nested as that of `write_image` is. */
export const BOOTC_STEP: StepSpec<AgentDeps> = {
  step: 'execute_bootc_install',
  interface: 'deploy',
  priorities: { deploy: 0, service: 0 },
  argsinfo: {
    image_source: { description: 'The container: oci://HOST/PATH.', required: true },
    configdrive: { description: 'Base64 of gzip of a config drive, or its URL.', required: false },
    oci_pull_secret: { description: "Base64 of the registry's secret.", required: false },
  },
  run: async (deps, { node, args }, context) => {
    const text = (key: string) => {
      const value = args[key] ?? null;
      if (value !== null && typeof value !== 'string') throw refuse(`${key} is not text`);
      return value;
    };
    const request: Request = {
      image_source: text('image_source') ?? '',
      instance_info: node.instance_info ?? {},
      pull_secret: text('oci_pull_secret'),
      configdrive: text('configdrive'),
    };
    return { result: `execute_bootc_install: ${await deployContainer(deps, request, context)}` };
  },
};
