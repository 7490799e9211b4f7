import type { JsonObject, NodeRecord } from '../store/node.ts';
import type { Store } from '../store/store.ts';
import type { Bmc } from '../bmc/bmc.ts';
import type { ConductorOs } from '../os/door.ts';
import type { ConnectAgent } from './agent-client.ts';
import type { Jobs } from './jobs.ts';

export type DriveSettings = {
  /** How the nodes reach this conductor: `http://192.0.2.1:6385`, no slash at the end. */
  publicUrl: string;
  /** Whether both parts of the ramdisk were given. */
  hasRamdisk: boolean;
  /** Seconds without a sign of life after which a waiting node has failed. */
  callbackTimeoutSeconds: number;
  /** Seconds, told to the agents, which beat at 0.3 to 0.6 of it. */
  heartbeatTimeoutSeconds: number;
  /** Kernel parameters for all nodes. */
  kernelAppend: string;
  /** Priorities of clean steps instead of the agent's own, by step. */
  cleanPriorities: Readonly<Record<string, number>>;
  /** Folder for the evidence of erased disks. */
  evidenceDirectory: string;
  /** Folder for the logs of failed ramdisks. */
  logsDirectory: string;
};

export type Log = {
  info: (facts: JsonObject, message: string) => void;
  warn: (facts: JsonObject, message: string) => void;
  error: (facts: JsonObject, message: string) => void;
};

/** What every flow works with. */
export type DriveDeps = {
  store: Store;
  os: Pick<ConductorOs, 'clock' | 'run' | 'writeFile' | 'withTemporaryDirectory' | 'readFile'>;
  settings: DriveSettings;
  log: Log;
  jobs: Jobs;
  /** @throws Failure when driver_info does not say how */
  bmcOf: (node: NodeRecord) => Bmc;
  connectAgent: ConnectAgent;
  /** What the agents' running commands say, by node uuid; gone when the conductor ends. */
  progress: Map<string, JsonObject>;
  /** Tokens that this process has handed out. */
  issuedTokens: Set<string>;
  /** When an agent last answered, by node uuid, milliseconds. */
  contacts: Map<string, number>;
};
