import { access, constants, readFile, writeFile } from 'node:fs/promises';

import { machineParameters, type QemuMachine } from '../arch/qemu.ts';
import { hostArchitecture } from '../arch/table.ts';
import type { Cache } from '../builder/host/cache.ts';
import type { Start } from '../system/run.ts';
import { type Acceleration, boardArguments, searchArguments } from './arguments.ts';
import { ownedCommand } from './owned.ts';
import type { Tools } from './tools.ts';

/** What a kernel without an initramfs and without a disk says when it has started completely. */
const SIGN_OF_LIFE = /Kernel panic - not syncing: VFS|Unable to mount root fs/;
/** Real hardware virtualisation needs about two seconds for it. */
const PATIENCE_MS = 15_000;

type ProbeOptions = { tools: Tools; machine: QemuMachine; start: Start; signal: AbortSignal };

/** Boots a kernel under KVM and waits for it to come to the end of its start. */
async function kernelStartsUnderKvm(kernel: string, options: ProbeOptions): Promise<boolean> {
  const { tools, machine, start, signal } = options;
  const args = [
    ...searchArguments(tools),
    ...boardArguments(machine, 'kvm', { cpus: 2, memoryMiB: 512 }),
    '-no-reboot',
    '-serial',
    'stdio',
    '-monitor',
    'none',
    '-kernel',
    kernel,
    '-append',
    `${machineParameters(machine)} panic=-1`,
  ];
  const command = tools.command(machine.program, args);
  const owned = ownedCommand(command.file, command.args);
  const child = start(owned.file, owned.args, { env: command.env, stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    return await new Promise<boolean>((resolve, reject) => {
      let text = '';
      const timer = setTimeout(() => resolve(false), PATIENCE_MS);
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      child.once('exit', () => resolve(SIGN_OF_LIFE.test(text)));
      child.once('error', () => resolve(false));
      child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (SIGN_OF_LIFE.test(text)) resolve(true);
      });
      child.once('close', () => clearTimeout(timer));
    });
  } finally {
    child.kill('SIGKILL');
  }
}

/** Name of the cached answer: it holds until the host boots again, as modules and permissions may change then. */
async function answerName(machine: QemuMachine): Promise<string> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'unknown');
  return `${machine.arch}-${process.getuid?.() ?? 0}-${boot.trim()}`;
}

/**
 * Finds out by trying whether KVM works here. A device /dev/kvm proves nothing: it may refuse guests at their start, or
 * run them too slowly to be of use, so a whole kernel has to start under it.
 * @param kernel a Linux kernel with a serial console
 * @returns 'kvm' only after a kernel has started under it; never the combination that falls back in silence
 */
export async function chooseAcceleration(
  kernel: string,
  cache: Cache,
  options: ProbeOptions,
): Promise<{ acceleration: Acceleration; reason: string }> {
  if (options.machine.arch !== hostArchitecture()?.name)
    return { acceleration: 'tcg', reason: 'KVM runs machines of the host’s own architecture only' };
  const usable = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!usable) return { acceleration: 'tcg', reason: '/dev/kvm is not there, or not ours to use' };
  const path = await cache.file('acceleration', await answerName(options.machine), async (file) => {
    await writeFile(file, (await kernelStartsUnderKvm(kernel, options)) ? 'kvm' : 'tcg');
  });
  const answer = (await readFile(path, 'utf8')).trim() === 'kvm' ? 'kvm' : 'tcg';
  return {
    acceleration: answer,
    reason: answer === 'kvm' ? 'a kernel started under KVM' : 'a kernel was tried under KVM and did not start',
  };
}
