import { join } from 'node:path';

import type { FastifyInstance } from 'fastify';
import pino from 'pino';

import { Failure, reasonOf } from '../system/failure.ts';
import { buildApi } from './api/app.ts';
import { redfishBmc } from './bmc/redfish.ts';
import { connectAgent } from './drive/agent-client.ts';
import type { DriveSettings, Log } from './drive/deps.ts';
import { createDriver } from './drive/driver.ts';
import { cliFailure } from './cli/failures.ts';
import type { ConductorOs } from './os/door.ts';
import { openStore } from './store/store.ts';

export type ConductorOptions = {
  host: string;
  /** 0 takes any free port. */
  port: number;
  stateDirectory: string;
  /** Without it: scheme, host and port that it listens on. */
  publicUrl: string | undefined;
  httpRoot: string | undefined;
  kernel: string | undefined;
  initramfs: string | undefined;
  kernelAppend: string;
  callbackTimeoutSeconds: number;
  heartbeatTimeoutSeconds: number;
  cleanPriorities: Readonly<Record<string, number>>;
};

export type RunningConductor = { url: string; publicUrl: string; log: Log; stop: () => Promise<void> };

const SECRETS = ['agent_token', 'agent_secret_token', 'redfish_password', 'configdrive'].flatMap((key) => [
  key,
  `*.${key}`,
]);

async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw cliFailure('CONDUCTOR_START', `it cannot listen on ${host} port ${port}: ${reasonOf(error)}`, {
      cause: error,
      hint: 'is another conductor running? else give --host and --port',
    });
  }
}

/**
 * Starts a conductor: database, API, and every flow that was under way.
 * @param logStream gets JSON lines
 * @throws Failure when the database is in use or the port is taken
 */
export async function startConductor(
  options: ConductorOptions,
  os: ConductorOs,
  logStream: { write: (text: string) => unknown },
): Promise<RunningConductor> {
  const logger = pino(
    { base: null, redact: SECRETS, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (text: string) => void logStream.write(text) },
  );
  try {
    await os.makePrivateDirectory(options.stateDirectory);
  } catch (error) {
    throw cliFailure('CONDUCTOR_START', `it cannot make ${options.stateDirectory}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  const databasePath = join(options.stateDirectory, 'conductor.sqlite');
  const store = openStore(os.openDatabase(databasePath), databasePath, os.clock.now);
  const settings: DriveSettings = {
    publicUrl: options.publicUrl ?? '',
    hasRamdisk: options.kernel !== undefined && options.initramfs !== undefined,
    callbackTimeoutSeconds: options.callbackTimeoutSeconds,
    heartbeatTimeoutSeconds: options.heartbeatTimeoutSeconds,
    kernelAppend: options.kernelAppend,
    cleanPriorities: options.cleanPriorities,
    evidenceDirectory: join(options.stateDirectory, 'evidence'),
    logsDirectory: join(options.stateDirectory, 'logs'),
  };
  const driver = createDriver({
    store,
    os,
    settings,
    log: logger,
    bmcOf: (node) => redfishBmc(node.driver_info, os.clock),
    connectAgent,
  });
  try {
    const { httpRoot, kernel, initramfs } = options;
    const files = { httpRoot, kernel, initramfs };
    const app = await buildApi({ store, driver, settings, baseUrl: () => settings.publicUrl, files }, logger);
    const url = await listen(app, options.host, options.port);
    // With port 0 the address is known only now.
    settings.publicUrl = options.publicUrl ?? url;
    driver.start();
    return {
      url,
      publicUrl: settings.publicUrl,
      log: logger,
      stop: async () => {
        await app.close();
        await driver.stop();
        store.close();
      },
    };
  } catch (error) {
    store.close();
    throw error instanceof Failure ? error : cliFailure('CONDUCTOR_START', reasonOf(error), { cause: error });
  }
}
