import { basename } from 'node:path';

import type { StepManager } from '../engine/command-table.ts';
import { reasonOf } from '../../system/failure.ts';
import type { AgentOs } from '../os/door.ts';
import { commandOf, type Manifest, readManifest } from './manifest.ts';
import { pluginManager } from './plugin.ts';

/** Where elements put plug-ins: `NAME.json`, and beside it the programs that it names. */
const PLUGIN_FOLDER = '/etc/ingot/steps.d';

const SETTLE_TIMEOUT_MS = 30_000;
const DETECT_TIMEOUT_MS = 30_000;
/** Names of managers that are not plug-ins. */
const TAKEN = ['generic_hardware_manager', 'GenericHardwareManager', 'ContainerHardwareManager'];

export type PluginDeps = { os: Pick<AgentOs, 'follow'> };
export type PluginFinder = {
  os: AgentOs;
  log: (message: string) => void;
  /** Called with the path of each manifest whose plug-in cannot be used. */
  onBroken?: (path: string) => void;
  signal: AbortSignal;
};

async function readPlugin({ os }: PluginFinder, folder: string, name: string): Promise<Manifest> {
  if (!/^[A-Za-z][A-Za-z0-9_.-]*$/.test(name)) throw new Error('its name has letters that it must not have');
  if (TAKEN.includes(name)) throw new Error('its name is that of steps of the agent');
  const manifest = readManifest((await os.files.read(`${folder}/${name}.json`)) ?? '');
  for (const words of [manifest.run, manifest.detect]) {
    if (words === undefined) continue;
    const [program] = commandOf(words, folder);
    if (!(await os.files.isExecutable(program))) throw new Error(`${program} is not there, or is no program`);
  }
  return manifest;
}

/** @throws when the answer is neither yes nor no */
async function hasHardware(
  { os, log, signal }: PluginFinder,
  folder: string,
  name: string,
  words: string,
): Promise<boolean> {
  const [program, ...args] = commandOf(words, folder);
  let said = '';
  const { exitCode, isTimedOut } = await os.follow(program, args, {
    signal,
    timeoutMs: DETECT_TIMEOUT_MS,
    onLine: (line) => {
      said = line;
      log(`plug-in ${name}: ${line}`);
    },
  });
  if (isTimedOut) throw new Error(`its question for hardware (${words}) was not answered within 30 s`);
  if (exitCode === 0 || exitCode === 1) return exitCode === 0;
  throw new Error(
    `its question for hardware (${words}) ended with ${exitCode ?? 'a signal'}${said ? `: ${said}` : ''}`,
  );
}

async function findPlugin(finder: PluginFinder, folder: string, file: string): Promise<StepManager<PluginDeps>[]> {
  const name = basename(file, '.json');
  try {
    const manifest = await readPlugin(finder, folder, name);
    const names = manifest.steps.map(({ step }) => step).join(', ');
    if (manifest.detect !== undefined && !(await hasHardware(finder, folder, name, manifest.detect))) {
      finder.log(`plug-in ${name} has nothing to do on this machine`);
      return [];
    }
    finder.log(`plug-in ${name} ${manifest.version} has steps: ${names}`);
    return [pluginManager(name, manifest, folder)];
  } catch (error) {
    finder.signal.throwIfAborted();
    finder.onBroken?.(`${folder}/${file}`);
    finder.log(`cannot use plug-in ${folder}/${file}, its steps are left out: ${reasonOf(error)}`);
    return [];
  }
}

/** The plug-ins that are for this machine; one that is broken is told of by name and left out. */
export async function findPlugins(finder: PluginFinder, folder = PLUGIN_FOLDER): Promise<StepManager<PluginDeps>[]> {
  const files = (await finder.os.files.list(folder)).filter((file) => file.endsWith('.json')).toSorted();
  if (files.length === 0) return [];
  // They may ask for hardware whose drivers are being loaded.
  await finder.os.run('udevadm', ['settle'], { timeoutMs: SETTLE_TIMEOUT_MS }).catch(() => undefined);
  const found = await Promise.all(files.map((file) => findPlugin(finder, folder, file)));
  return found.flat();
}
