import type { Node } from './api/command.ts';
import type { Details, Disk, Inventory } from './api/inventory.ts';
import type { AgentDeps } from './commands/deps.ts';
import type { AgentConfig } from './config/config.ts';
import type { TlsFiles } from './config/tls.ts';
import type { AgentConsole } from './console.ts';
import type { CommandSpec, StepManager } from './engine/command-table.ts';
import type { Certificate } from './ironic/certificate.ts';
import type { Http } from './ironic/http.ts';
import type { Network } from './network.ts';
import type { AgentOs } from './os/door.ts';
import type { StateStore } from './state.ts';

/** What the agent knows of the machine; each call looks anew. */
export type Hardware = {
  network: Network;
  inventory: () => Promise<Inventory>;
  /** What the inventory has no place for. */
  details: () => Promise<Details>;
  /** MACs of the network interfaces that Ironic may know. */
  macs: () => Promise<string[]>;
  /** The disk an image would go to, by the node's hints where it has some. @throws when there is none */
  rootDisk: (node: Node | undefined) => Promise<Disk>;
};

/** Everything that a running agent is made of; `main.ts` hands in the real ones, tests their own. */
export type AgentParts = {
  os: AgentOs;
  config: AgentConfig;
  tlsFiles: TlsFiles;
  /** With listen_tls: what the agent is served with, and Ironic can check by itself. */
  serverCertificate: Certificate | undefined;
  store: StateStore;
  commands: readonly CommandSpec<AgentDeps>[];
  hardware: Hardware;
  /** Whose steps are offered; looked for once. */
  managers: () => Promise<readonly StepManager<AgentDeps>[]>;
  console: AgentConsole;
  http: Http;
  /** 0 to 1. */
  random: () => number;
  /** Whether this machine is the agent's own: only there may it take network interfaces down. */
  inRamdisk: boolean;
  signal: AbortSignal;
};
