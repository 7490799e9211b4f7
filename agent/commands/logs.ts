import { createGzip } from 'node:zlib';
import { Type } from 'typebox';

import type { CommandSpec } from '../engine/command-table.ts';
import type { AgentOs } from '../os/door.ts';
import { reasonOf } from '../../system/failure.ts';
import { redact } from '../../system/redact.ts';
import type { AgentDeps } from './deps.ts';
import { mergeJournal } from './journal.ts';
import { LOG_SOURCES, LONGEST_ENTRY, type LogSource, varLogSource } from './log-sources.ts';
import { blockProperties } from './udev.ts';

/** Ironic waits 60 s for the archive (Metal3 30 s). */
const ALL_TIMEOUT_MS = 20_000;
const LONGEST_WORD = 16 * 1024;

type Entry = { name: string; text: string };
type LogDeps = Pick<AgentDeps, 'os' | 'recentLog'>;

/** @throws why there is nothing of a source */
async function readSource(os: AgentOs, source: LogSource, signal: AbortSignal): Promise<string> {
  if ('file' in source) {
    const text = await os.files.read(source.file);
    if (text === undefined) throw new Error(`cannot read ${source.file}`);
    return text;
  }
  const [program, ...args] = source.command;
  const { stdout, stderr } = await os.run(program, args, { signal });
  return stdout + stderr;
}

/** What udev knows of each disk and partition, as JSON in `udev/NAME`. */
async function readUdev(os: AgentOs, signal: AbortSignal): Promise<Entry[]> {
  const { stdout } = await os.run('udevadm', ['info', '--export-db'], { signal });
  return [...blockProperties(stdout)].map(([name, properties]) => ({
    name: `udev/${name}`,
    text: `${JSON.stringify(properties, null, 1)}\n`,
  }));
}

/** Where there is no journald: the kernel's, the scripts' and the agent's lines as one. */
function makeJournal(entries: readonly Entry[], recent: string): Entry {
  const text = (name: string): string => entries.find((entry) => entry.name === name)?.text ?? '';
  const kept = text('run/ingot/agent.log.1') + text('run/ingot/agent.log');
  const journal = mergeJournal([
    { name: 'kernel', text: text('dmesg') },
    // Its lines say themselves that they are the ramdisk's.
    { name: 'init', text: text('run/ingot/boot.log') },
    { name: 'agent', text: kept === '' ? recent : kept },
  ]);
  return { name: 'journal', text: journal };
}

/** From a blank on: half a word would not be known for the secret that it is. */
function lastPart(text: string): string {
  const part = text.slice(-LONGEST_ENTRY);
  const blank = part.slice(0, LONGEST_WORD).search(/\s/);
  return part.length === text.length ? text : part.slice(blank + 1);
}

async function packTarGz(entries: readonly Entry[], seconds: number): Promise<Buffer> {
  const { pack } = await import('tar-stream');
  const archive = pack();
  for (const { name, text } of entries) {
    const bytes = Buffer.from(redact(lastPart(text))).subarray(-LONGEST_ENTRY);
    archive.entry({ name, mode: 0o600, mtime: new Date(seconds * 1000) }, bytes);
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive.pipe(createGzip())) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/**
 * The machine's and the agent's logs as IPA packs them: base64 of a tar.gz. Takes at most 20 s. What there is not, because its
 * program is not in this ramdisk, failed or took too long, is listed in `ingot-gaps` with the reason.
 */
export async function collectSystemLogs({ os, recentLog }: LogDeps): Promise<string> {
  const signal = AbortSignal.timeout(ALL_TIMEOUT_MS);
  const gaps: string[] = [];
  const gap = (name: string) => (error: unknown) => {
    gaps.push(`${name}: ${reasonOf(error)}`);
    return [];
  };
  const others = (await os.files.list('/var/log')).map(varLogSource);
  const found = await Promise.all([
    ...[...LOG_SOURCES, ...others].map((source) =>
      readSource(os, source, signal).then((text) => [{ name: source.name, text }], gap(source.name)),
    ),
    readUdev(os, signal).catch(gap('udev')),
  ]);
  const entries = found.flat();
  const recent = `${recentLog().join('\n')}\n`;
  if (!entries.some(({ name }) => name === 'journal')) entries.unshift(makeJournal(entries, recent));
  const own = [
    { name: 'ingot-agent.log', text: recent },
    { name: 'ingot-gaps', text: `${gaps.toSorted().join('\n')}\n` },
  ];
  const archive = await packTarGz([...entries, ...own], Math.floor(os.clock.now() / 1000));
  return archive.toString('base64');
}

export const LOG_COMMANDS: readonly CommandSpec<AgentDeps>[] = [
  {
    name: 'log.collect_system_logs',
    mode: 'sync',
    summary: 'Packs the logs of the machine and of the agent. Taken while another command runs, too.',
    whileBusy: true,
    params: Type.Object({}),
    run: async (deps) => ({ system_logs: await collectSystemLogs(deps) }),
  },
];
