import { reasonOf } from '../../system/failure.ts';
import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { examineDisks } from '../disk/examine.ts';
import { guardDisk, guardOptions, refuseGuarded } from '../disk/guard.ts';
import type { CommandContext, StepSpec } from '../engine/command-table.ts';
import { readStorage } from '../hardware/disks.ts';
import { skippedDisks } from '../hardware/skip-list.ts';
import type { AgentOs } from '../os/door.ts';
import { checkLoad, fioErrors, type Load, runLoad } from './burn-in.ts';
import { burnInSettings } from './burn-in-settings.ts';
import type { AgentDeps } from './deps.ts';
import { selfTestDisks } from './smart-test.ts';

const DAY_SECONDS = 86_400;
/** Where reports are written: this folder is collected with the logs. */
const REPORTS = '/var/log';
const FIO_PORT = '9000';
/** How fio ends when its partner is not there yet, and how long until the next try (IPA). */
const FIO_NO_PARTNER = 16;
const PARTNER_RETRY_MS = 30_000;
const IO_BYTES = /^\d+[bkmgtp%]?$/i;

/** The conductor's `outputfile` gets a copy: the report itself stays where logs are collected. */
async function keepCopy(os: AgentOs, report: string, wanted: string, log: (message: string) => void): Promise<void> {
  if (wanted === report) return;
  const bytes = await os.files.readBytes(report);
  if (bytes === undefined) return;
  await os.files
    .write(wanted, bytes)
    .catch((error: unknown) => log(`cannot write the report of the burn-in to ${wanted} as well: ${reasonOf(error)}`));
}

async function burnIn(os: AgentOs, load: Load, wanted: string, context: CommandContext): Promise<void> {
  const result = await runLoad(os, load, context);
  await keepCopy(os, load.report, wanted, context.log);
  checkLoad(load, result);
}

/** stress-ng takes no load at all for "no worker": 0 means one for each processor. */
async function burnInCpu({ os }: AgentDeps, node: Node, context: CommandContext): Promise<null> {
  const settings = burnInSettings(node);
  const seconds = settings.count('cpu_timeout', DAY_SECONDS);
  const report = `${REPORTS}/burnin-cpu.log`;
  const args = ['--cpu', String(settings.count('cpu_cpu', 0)), '--timeout', String(seconds), '--metrics-brief'];
  const load = { what: 'processors', program: 'stress-ng', args: [...args, '--log-file', report], seconds, report };
  await burnIn(os, load, settings.path('cpu_outputfile', report), context);
  return null;
}

async function burnInMemory({ os }: AgentDeps, node: Node, context: CommandContext): Promise<null> {
  const settings = burnInSettings(node);
  const seconds = settings.count('vm_timeout', DAY_SECONDS);
  const bytes = settings.word('vm_vm-bytes', '98%', IO_BYTES, 'a number with %, or with b, k, m, g');
  const report = `${REPORTS}/burnin-memory.log`;
  const args = [
    ['--vm', String(settings.count('vm_vm', 0)), '--timeout', String(seconds), '--vm-bytes', bytes],
    ['--metrics-brief', '--log-file', report],
  ].flat();
  const load = { what: 'memory', program: 'stress-ng', args, seconds, report };
  await burnIn(os, load, settings.path('vm_outputfile', report), context);
  return null;
}

/** All disks but those that somebody wants kept; one that is in use stops the step before anything is written. */
async function disksToBurn({ os, config }: AgentDeps, node: Node, log: (message: string) => void): Promise<string[]> {
  const storage = await readStorage(os);
  const options = guardOptions({ ...config, guardRemovable: false }, skippedDisks(node, storage.disks));
  const chosen: string[] = [];
  for (const disk of await examineDisks(os, storage)) {
    // What is on an array is on its members.
    if (disk.kind === 'array') continue;
    const left = guardDisk(disk, options).find(({ code, verdict }) => verdict === 'leave' || code === 'read-only');
    if (left === undefined) {
      refuseGuarded(disk, options);
      chosen.push(disk.disk.name);
    } else log(`${disk.disk.name} is not burnt in: ${left.text}`);
  }
  if (chosen.length === 0) throw new AgentError('DeviceNotFound', 'cannot burn in disks: there are none');
  return chosen;
}

async function burnInDisks(deps: AgentDeps, node: Node, context: CommandContext): Promise<null> {
  const { os } = deps;
  const settings = burnInSettings(node);
  const runtime = settings.count('fio_disk_runtime', 0);
  const report = `${REPORTS}/burnin-disk.json`;
  const loops = settings.count('fio_disk_loops', 4);
  const copy = settings.path('fio_disk_outputfile', report);
  const disks = await disksToBurn(deps, node, context.log);
  const args = [
    ['--rw', 'readwrite', '--bs', '4k', '--direct', '1', '--ioengine', 'libaio', '--iodepth', '32'],
    ['--verify', 'crc32c', '--verify_dump', '1', '--continue_on_error', 'verify'],
    ['--loops', String(loops)],
    // fio does not take "by time" without a time.
    runtime > 0 ? ['--runtime', String(runtime), '--time_based'] : [],
    ['--eta', 'always', '--eta-newline', '10', '--output-format', 'json', '--output', report],
    disks.flatMap((disk) => ['--name', disk, '--filename', disk]),
  ].flat();
  const load = { what: 'disks', program: 'fio', args, seconds: runtime || undefined, report };
  await burnIn(os, load, copy, context);
  const bad = fioErrors((await os.files.read(report)) ?? '');
  if (bad.length > 0)
    throw new AgentError(
      'CommandExecutionError',
      `burn-in of disks failed: ${bad.join('; ')}; the report is ${report}`,
    );
  if (settings.flag('fio_disk_smart_test')) await selfTestDisks(os, disks, context);
  return null;
}

type Partner = { role: 'writer' | 'reader'; partner: string };

function partnerOf(value: unknown): Partner {
  const refuse = (why: string) => new AgentError('CleaningError', `cannot burn in the network: ${why}`);
  if (value === undefined)
    throw refuse(
      'driver_info has no agent_burnin_fio_network_config with role and partner; pairing through a tooz backend is not supported',
    );
  const { role, partner } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (role !== 'writer' && role !== 'reader') throw refuse(`role ${JSON.stringify(role)} is neither writer nor reader`);
  if (typeof partner !== 'string' || !/^[\w.:%[\]-]+$/.test(partner) || partner.startsWith('-'))
    throw refuse(`partner ${JSON.stringify(partner)} is no host name or address`);
  return { role, partner };
}

/** One direction. A reader comes again and again until its partner listens. */
async function fioNetwork(
  os: AgentOs,
  role: Partner['role'],
  partner: string,
  seconds: number,
  context: CommandContext,
  wanted: string | undefined,
): Promise<void> {
  const report = `${REPORTS}/burnin-network.${role}.json`;
  const args = [
    ['--ioengine', 'net', '--port', FIO_PORT, '--fill_device', '1', '--group_reporting', '--gtod_reduce', '1'],
    ['--numjobs', '16', '--eta', 'always', '--eta-newline', '10'],
    role === 'writer'
      ? ['--name', 'writer', '--rw', 'write', '--runtime', String(seconds), '--time_based', '--listen']
      : ['--name', 'reader', '--rw', 'read', '--hostname', partner],
    ['--output-format', 'json', '--output', report],
  ].flat();
  const load = { what: `network (${role})`, program: 'fio', args, seconds, report };
  for (;;) {
    const result = await runLoad(os, load, context);
    if (role === 'writer' || result.exitCode !== FIO_NO_PARTNER) {
      await keepCopy(os, report, wanted === undefined ? report : `${wanted}.${role}`, context.log);
      return checkLoad(load, result);
    }
    context.progress({ phase: `burn in network (${role})`, message: `${partner} does not listen yet` });
    await os.clock.sleep(PARTNER_RETRY_MS, context.signal);
  }
}

async function burnInNetwork({ os }: AgentDeps, node: Node, context: CommandContext): Promise<null> {
  const settings = burnInSettings(node);
  const { role, partner } = partnerOf(settings.raw('fio_network_config'));
  const seconds = settings.count('fio_network_runtime', 21_600);
  const wanted =
    settings.raw('fio_network_outputfile') === undefined ? undefined : settings.path('fio_network_outputfile', '');
  await fioNetwork(os, role, partner, seconds, context, wanted);
  await fioNetwork(os, role === 'writer' ? 'reader' : 'writer', partner, seconds, context, wanted);
  return null;
}

type Runner = (deps: AgentDeps, node: Node, context: CommandContext) => Promise<null>;

function step(name: string, run: Runner, priorities: StepSpec<AgentDeps>['priorities']): StepSpec<AgentDeps> {
  return {
    step: name,
    interface: 'deploy',
    priorities,
    abortable: true,
    run: (deps, { node }, context) => run(deps, node, context),
  };
}

/** Wearing a machine in before it is used (agent-protocol F.7); disks only while no instance is on them. */
export const BURN_IN_STEPS: readonly StepSpec<AgentDeps>[] = [
  step('burnin_cpu', burnInCpu, { clean: 0, service: 0 }),
  step('burnin_disk', burnInDisks, { clean: 0 }),
  step('burnin_memory', burnInMemory, { clean: 0, service: 0 }),
  step('burnin_network', burnInNetwork, { clean: 0, service: 0 }),
];
