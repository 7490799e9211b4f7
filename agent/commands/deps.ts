import type { Inventory } from '../api/inventory.ts';
import type { Node } from '../api/command.ts';
import type { AgentConfig } from '../config/config.ts';
import type { TlsFiles } from '../config/tls.ts';
import type { StepManager } from '../engine/command-table.ts';
import type { AgentOs } from '../os/door.ts';

/** Why an agent stops serving although its machine goes on: for whoever rescues it, or for nobody. */
export type Departure = 'rescue' | 'lockdown';

/** What every command and step is handed. Tests make one by hand. */
export type AgentDeps = {
  os: AgentOs;
  config: AgentConfig;
  /** Texts of the files that the configuration names for TLS clients. */
  tlsFiles?: TlsFiles;
  /** The node as Ironic last told it, by lookup or with a command; commands that bring a node refresh it. */
  node: { current: Node | undefined };
  /** A fresh inventory; nothing of it is cached. */
  inventory: () => Promise<Inventory>;
  /** Sets the clock by ntp_server, where there is one; @throws when that fails. @returns what was done, for the log */
  setClock?: () => Promise<string | undefined>;
  /** Asks Ironic for the node again, so that root device hints set since the boot are known; undefined where no API is known. */
  refreshNode: () => Promise<Node | undefined>;
  /** The agent's own last log lines, oldest first, without secrets. */
  recentLog: () => readonly string[];
  /** Whose steps are offered; the agent's own alone where it is not set. */
  managers?: readonly StepManager<AgentDeps>[];
  /** Ends serving as soon as the command that calls it has been answered. Only a ramdisk's agent may. */
  leave?: (why: Departure) => void;
};
