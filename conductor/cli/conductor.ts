import { access, constants, realpath, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

import { usageFailure } from '../../cli/options.ts';
import { reasonOf } from '../../system/failure.ts';
import { systemOs } from '../os/system.ts';
import { defineCommand } from '../../cli/command.ts';
import { cliFailure } from './failures.ts';

function defaultStateDirectory(): string {
  return join(process.env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state'), 'ingot');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

async function readable(
  option: string,
  path: string | undefined,
  kind: 'file' | 'folder',
): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    const absolute = await realpath(path);
    await access(absolute, constants.R_OK);
    const facts = await stat(absolute);
    if (kind === 'file' ? facts.isFile() : facts.isDirectory()) return absolute;
  } catch (error) {
    throw cliFailure('FILE_UNUSABLE', `--${option} ${path}: ${reasonOf(error)}`);
  }
  throw cliFailure('FILE_UNUSABLE', `--${option} ${path}: it is no ${kind}`);
}

function checkPublicUrl(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text.replace(/\/+$/, '');
  throw usageFailure(`cannot use --public-url ${text}: it is no http or https URL`);
}

function cleanPriorities(given: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    given.map((text) => {
      const found = /^(\w+)=(\d+)$/.exec(text);
      if (!found) throw usageFailure(`cannot use --clean-priority ${text}: it is no STEP=N`);
      return [found[1] ?? '', Number(found[2])];
    }),
  );
}

export const conductorCommand = defineCommand({
  summary: 'Runs the conductor: keeps the nodes, serves their ramdisk, drives their BMCs.',
  usage: '[options]',
  details: [
    'Its API has no login: whoever reaches the port can erase every machine. So it',
    'listens on 127.0.0.1 unless --host says otherwise; then keep the port on a',
    'network that only the machines and their operators can reach.',
    'Machines under way go on where they were when the conductor is started again.',
  ],
  options: {
    host: { type: 'string', placeholder: 'ADDRESS', help: 'address to listen on; 127.0.0.1 unless said' },
    port: { type: 'integer', help: 'port to listen on; 6385 unless said, 0 for any' },
    'state-dir': {
      type: 'string',
      placeholder: 'DIR',
      help: 'database, evidence and logs of ramdisks; ~/.local/state/ingot unless said',
    },
    'http-root': { type: 'string', placeholder: 'DIR', help: 'folder with images, served under /images/' },
    'public-url': {
      type: 'string',
      placeholder: 'URL',
      help: 'this conductor as the machines see it; else made from --host and --port',
    },
    'deploy-kernel': { type: 'string', placeholder: 'FILE', help: "the ramdisk's kernel, made by build-ramdisk" },
    'deploy-ramdisk': { type: 'string', placeholder: 'FILE', help: "the ramdisk's initramfs" },
    'kernel-append': {
      type: 'string',
      placeholder: 'TEXT',
      help: 'kernel parameters for all ramdisks; "nomodeset console=tty0 console=ttyS0" unless said',
    },
    'callback-timeout': {
      type: 'integer',
      placeholder: 'SECONDS',
      help: 'silence after which a machine has failed; 1800 unless said',
    },
    'heartbeat-timeout': {
      type: 'integer',
      placeholder: 'SECONDS',
      help: 'agents report at 0.3 to 0.6 of it; 300 unless said',
    },
    'clean-priority': {
      type: 'string',
      placeholder: 'STEP=N',
      multiple: true,
      help: "priority of an automated clean step instead of the agent's; erase_devices=0 leaves it out",
    },
    json: { type: 'boolean', help: 'the line that says that it listens, as JSON' },
  },
  run: async ({ stdout, stderr, signal }, values, positionals) => {
    if (positionals.length > 0) throw usageFailure(`cannot run ingot conductor: it takes no ${positionals.join(' ')}`);
    if ((values['deploy-kernel'] === undefined) !== (values['deploy-ramdisk'] === undefined)) {
      throw usageFailure('cannot use half a ramdisk: --deploy-kernel and --deploy-ramdisk go together');
    }
    const host = values.host ?? '127.0.0.1';
    if (values['public-url'] === undefined && ['0.0.0.0', '::'].includes(host)) {
      throw usageFailure(
        `cannot tell the machines where the conductor is: --host ${host} is no address of its own`,
        '--public-url http://ADDRESS:6385',
      );
    }
    const stateDirectory = resolve(values['state-dir'] ?? defaultStateDirectory());
    // Only this command needs the server and the database: the others start in half the time without them.
    const { startConductor } = await import('../process.ts');
    const conductor = await startConductor(
      {
        host,
        port: values.port ?? 6385,
        stateDirectory,
        publicUrl: values['public-url'] === undefined ? undefined : checkPublicUrl(values['public-url']),
        httpRoot: await readable('http-root', values['http-root'], 'folder'),
        kernel: await readable('deploy-kernel', values['deploy-kernel'], 'file'),
        initramfs: await readable('deploy-ramdisk', values['deploy-ramdisk'], 'file'),
        kernelAppend: values['kernel-append'] ?? 'nomodeset console=tty0 console=ttyS0',
        callbackTimeoutSeconds: values['callback-timeout'] ?? 1800,
        cleanPriorities: cleanPriorities(values['clean-priority'] ?? []),
        heartbeatTimeoutSeconds: values['heartbeat-timeout'] ?? 300,
      },
      systemOs,
      stderr,
    );
    const facts = {
      event: 'listening',
      url: conductor.url,
      public_url: conductor.publicUrl,
      state_dir: stateDirectory,
      pid: process.pid,
    };
    stdout.write(
      values.json
        ? `${JSON.stringify(facts)}\n`
        : `ingot conductor listens on ${conductor.url}, for machines ${conductor.publicUrl}\n`,
    );
    if (!isLoopback(host)) {
      conductor.log.warn(
        { host },
        'the API has no login, and it listens on more than this machine: whoever reaches it can erase every node',
      );
    }
    if (isLoopback(host) && values['public-url'] === undefined) {
      conductor.log.warn(
        {},
        'machines cannot reach this address: give --public-url, or --host with an address that they can reach',
      );
    }
    if (values['deploy-kernel'] === undefined) {
      conductor.log.warn(
        {},
        'no --deploy-kernel and --deploy-ramdisk: nodes can be kept, but not inspected, cleaned or deployed',
      );
    }
    await new Promise<void>((stop) => {
      if (signal.aborted) stop();
      else signal.addEventListener('abort', () => stop(), { once: true });
    });
    await conductor.stop();
    return 0;
  },
});
