import { dirname } from 'node:path';

import type { AgentOs } from '../os/door.ts';
import { KERNEL_LINE, loadConfig, type LoadedConfig } from './config.ts';
import { readConfigFiles } from './files.ts';
import { parseKernelParameters } from './kernel-parameters.ts';
import type { ConfigSource } from './settings.ts';
import { readVirtualMedia } from './virtual-media.ts';

/** What virtual media said, for an agent that is started again in this boot: the BMC may have taken the media away by then. */
const MEDIA_SEEN = '/run/ingot-agent/parameters.txt';

/** Files outrank `parameters.txt` of virtual media, which outranks the kernel's line. */
function inOrder(line: ConfigSource, media: string | undefined, files: readonly ConfigSource[]): ConfigSource[] {
  const parameters: ConfigSource[] =
    media === undefined
      ? []
      : [{ kind: 'parameters', name: 'parameters.txt of virtual media', values: parseKernelParameters(media) }];
  return [line, ...parameters, ...files];
}

/** Whether a source says where the agent's work comes from. */
function saysWhere(source: ConfigSource): boolean {
  return source.kind === 'parameters'
    ? source.values.has('ipa-api-url') || source.values.has('ipa-inspection-callback-url')
    : /^(api_url|inspection_callback_url)\s*[=:]/m.test(source.text);
}

/**
 * The configuration from every source that this machine has before the agent talks to anybody. Files on virtual media are put
 * into their folders, where they outlive it.
 * @param options.kernelParameters instead of /proc/cmdline
 * @param options.useMedia whether virtual media may be mounted and files written: only where the machine is the agent's own
 * @throws Failure `BAD_PARAMETER`
 */
export async function loadAll(
  os: AgentOs,
  options: { kernelParameters: string | undefined; useMedia: boolean; signal?: AbortSignal },
): Promise<LoadedConfig> {
  const text = options.kernelParameters ?? (await os.files.read('/proc/cmdline')) ?? '';
  const values = parseKernelParameters(text);
  const line: ConfigSource = { kind: 'parameters', name: KERNEL_LINE, values };
  const seen = values.get('boot_method') === 'vmedia' ? await os.files.read(MEDIA_SEEN) : undefined;
  if (values.get('boot_method') !== 'vmedia' || !options.useMedia || seen !== undefined)
    return loadConfig(inOrder(line, seen, await readConfigFiles(os.files)));
  const isComplete = [line, ...(await readConfigFiles(os.files))].some(saysWhere);
  const { signal } = options;
  const media = await readVirtualMedia(os, {
    isComplete,
    publisher: values.get('ir_pub_id'),
    ...(signal && { signal }),
  });
  await os.files.makeDirectory(dirname(MEDIA_SEEN), 0o700);
  await os.files.write(MEDIA_SEEN, media.parameters ?? '', 0o600);
  const loaded = loadConfig(inOrder(line, media.parameters, await readConfigFiles(os.files)));
  const copied = media.copied.map((path) => `${path} was copied from virtual media`);
  return { ...loaded, notices: [...media.notices, ...copied, ...loaded.notices] };
}
