import { defineCommand } from '../../cli/command.ts';
import { usageFailure } from '../../cli/options.ts';
import { createProgress, progressMode } from '../../cli/progress.ts';
import type { Forward } from '../../machine/arguments.ts';
import { freePorts } from '../../machine/ports.ts';
import { type BootFacts, bootRamdisk } from '../boot.ts';
import { openHost } from '../host/system.ts';
import { BUILD_OPTIONS } from './options.ts';

const SSH_PORT = 22;
/** Less than this, and Linux does not even unpack the ramdisk. */
const LEAST_MEMORY_MIB = 256;

/** `8080:80`: a port of this host's loopback, and the machine's. */
export function parseForward(text: string): Forward {
  const match = /^(\d{1,5}):(\d{1,5})$/.exec(text);
  const [host, guest] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || [host, guest].some((port) => port < 1 || port > 65_535))
    throw usageFailure(`cannot use --forward ${text}: HOST:GUEST is needed, two TCP ports`, '--forward 9999:9999');
  return { host, guest };
}

function introduction(facts: BootFacts, sshPort: number, terminal: boolean): string {
  return [
    `${facts.arch}, Linux ${facts.kernelVersion}, ${facts.acceleration}: ${facts.reason}`,
    `SSH, where the ramdisk has a server: ssh -p ${sshPort} root@127.0.0.1`,
    terminal ? 'Ctrl-A X ends the machine, Ctrl-A H lists what else Ctrl-A does' : 'Ctrl-C ends the machine',
    '',
  ].join('\n');
}

export const bootCommand = defineCommand({
  summary: 'Boots what a build has made in a virtual machine (QEMU), with its console in this terminal.',
  usage: 'NAME [options]',
  details: [
    'NAME is that of the build: NAME.manifest.json says which architecture it is for.',
    'QEMU and firmware come from Debian packages in the cache; nothing is installed,',
    'and no root is needed. In a terminal, Ctrl-A X ends the machine; elsewhere its',
    'console is printed as plain lines, until it is switched off.',
    '',
    '  build-ramdisk boot ingot-x86_64 --disk 4G --append \'sshkey="ssh-ed25519 AAAA…"\'',
  ],
  options: {
    append: {
      type: 'string',
      multiple: true,
      placeholder: 'TEXT',
      help: 'more kernel parameters, such as ipa-api-url=…, sshkey="…", rootpwd=…',
    },
    iso: { type: 'boolean', help: 'boot NAME.iso instead of kernel and initramfs' },
    uefi: { type: 'boolean', help: 'start through UEFI firmware where the machine could do without' },
    disk: {
      type: 'string',
      multiple: true,
      placeholder: 'FILE|SIZE',
      help: 'a disk: a file (raw or qcow2, WRITTEN TO), or the size of an empty one that vanishes in the end; nvme:4G is an NVMe disk',
    },
    memory: { type: 'integer', placeholder: 'MIB', help: 'memory; 2048 unless said' },
    cpus: { type: 'integer', help: 'processors; 2 unless said' },
    'ssh-port': {
      type: 'integer',
      placeholder: 'PORT',
      help: 'port of 127.0.0.1 that leads to the machine’s SSH; a free one unless said',
    },
    forward: {
      type: 'string',
      multiple: true,
      placeholder: 'HOST:GUEST',
      help: 'another port of 127.0.0.1, and the machine’s TCP port that it leads to; the agent listens on 9999',
    },
    mirror: BUILD_OPTIONS.mirror,
    cache: BUILD_OPTIONS.cache,
    json: {
      type: 'boolean',
      help: 'progress, what was started and each line of the console as one JSON object a line',
    },
  },
  run: async (program, values, positionals) => {
    const { stdout, stderr, signal } = program;
    const [name, ...surplus] = positionals;
    if (name === undefined || surplus.length > 0)
      throw usageFailure('cannot boot: one NAME of a build is needed', 'build-ramdisk boot ingot-x86_64');
    if (values.iso && values.append.length > 0)
      throw usageFailure(
        'cannot append kernel parameters to an ISO: its own boot menu holds them',
        'boot it without --iso',
      );
    if (values.memory !== undefined && values.memory < LEAST_MEMORY_MIB)
      throw usageFailure(`cannot use --memory ${values.memory}: at least ${LEAST_MEMORY_MIB} MiB are needed`);
    if (values.cpus === 0) throw usageFailure('cannot use --cpus 0: at least one is needed');
    const sshPort = values['ssh-port'] ?? (await freePorts(1))[0] ?? 0;
    const terminal = !values.json && process.stdin.isTTY && stdout.isTTY;
    const say = (event: object) => stdout.write(`${JSON.stringify(event)}\n`);
    const progress = createProgress(progressMode({ json: values.json, isTerminal: stderr.isTTY }), stderr);
    try {
      await bootRamdisk({
        host: await openHost({ cache: values.cache }),
        name: name.replace(/\.(kernel|initramfs|manifest\.json|iso)$/, ''),
        iso: values.iso,
        uefi: values.uefi,
        append: values.append.join(' '),
        cpus: values.cpus ?? 2,
        memoryMiB: values.memory ?? 2048,
        disks: values.disk,
        forwards: [{ host: sshPort, guest: SSH_PORT }, ...values.forward.map(parseForward)],
        mirror: values.mirror,
        progress,
        signal,
        onStart: (facts) => {
          if (values.json) say({ event: 'started', ...facts, sshPort });
          else stderr.write(introduction(facts, sshPort, terminal));
        },
        onLine: terminal
          ? undefined
          : (line) => (values.json ? say({ event: 'console', line }) : stdout.write(`${line}\n`)),
      });
    } finally {
      progress.finish();
    }
    return 0;
  },
});
