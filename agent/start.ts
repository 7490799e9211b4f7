import { runAgent } from './agent.ts';
import { COMMANDS } from './commands/table.ts';
import type { AgentConfig } from './config/config.ts';
import { loadAll } from './config/load.ts';
import { clientTls, readServerCertificate, readTlsFiles } from './config/tls.ts';
import { createConsole } from './console.ts';
import { collectDetails } from './hardware/details.ts';
import { collectInventory, findRootDisk } from './hardware/inventory.ts';
import { createHttp } from './ironic/http.ts';
import { findManagers } from './managers.ts';
import { createNetwork, type Network } from './network.ts';
import type { AgentOs } from './os/door.ts';
import { systemOs } from './os/system.ts';
import type { Hardware } from './parts.ts';
import { openState, STATE_DIRECTORY } from './state.ts';

/** The machine itself. */
export function realHardware(os: AgentOs, config: Pick<AgentConfig, 'bootInterface'>, network: Network): Hardware {
  return {
    network,
    inventory: () =>
      collectInventory(os, config.bootInterface, { interfaces: network.settledInterfaces, bmc: network.bmc }),
    details: () => collectDetails(os),
    macs: network.macs,
    rootDisk: (node) => findRootDisk(os, node),
  };
}

/** Milliseconds since the machine's start, so that the agent's lines stand where they belong among the kernel's. */
async function sinceBoot({ files, clock }: AgentOs): Promise<() => number> {
  const uptime = Number.parseFloat((await files.read('/proc/uptime')) ?? '');
  const before = Number.isNaN(uptime) ? 0 : uptime * 1000 - clock.monotonic();
  return () => before + clock.monotonic();
}

/** Puts the real parts together and runs the agent until the signal aborts. */
export async function startAgent(options: {
  /** Instead of /proc/cmdline. */
  kernelParameters: string | undefined;
  stateDirectory: string | undefined;
  inRamdisk: boolean;
  stdout: { write: (text: string) => unknown };
  signal: AbortSignal;
}): Promise<void> {
  const { inRamdisk, signal } = options;
  const os = systemOs();
  const { config, notices } = await loadAll(os, { ...options, useMedia: inRamdisk });
  const console = createConsole({
    write: (line) => void options.stdout.write(line),
    monotonic: await sinceBoot(os),
    debug: config.debug,
  });
  const notice = (text: string): void => console.log(`configuration: ${text}`);
  for (const text of notices) notice(text);
  const tlsFiles = await readTlsFiles(config, os.files, notice);
  let managers: ReturnType<typeof findManagers> | undefined;
  await runAgent({
    os,
    config,
    tlsFiles,
    serverCertificate: config.listenTls ? await readServerCertificate(config, os.files) : undefined,
    store: await openState(os.files, options.stateDirectory ?? STATE_DIRECTORY, console.log),
    commands: COMMANDS,
    managers: () => (managers ??= findManagers({ os, log: console.log, signal: options.signal })),
    hardware: realHardware(
      os,
      config,
      createNetwork({ os, config, inRamdisk: options.inRamdisk, log: console.log, signal: options.signal }),
    ),
    console,
    http: createHttp({ tls: clientTls(config, tlsFiles), timeoutMs: config.httpRequestTimeoutSeconds * 1000 }),
    random: Math.random,
    inRamdisk,
    signal,
  });
}
