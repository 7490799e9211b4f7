import { createGzip } from 'node:zlib';
import { Type } from 'typebox';

import type { CommandSpec } from '../engine/command-table.ts';
import type { AgentOs } from '../os/door.ts';
import { reasonOf } from '../../system/failure.ts';
import { redact } from '../../system/redact.ts';
import type { AgentDeps } from './deps.ts';

/** Ironic waits 60 s for the archive (Metal3 30 s). */
const ALL_TIMEOUT_MS = 20_000;
/** Of each entry the last part is kept: the newest lines matter. */
const LONGEST_ENTRY = 2 * 1024 ** 2;
const LONGEST_WORD = 16 * 1024;

type LogSource = { name: string; command: readonly [string, ...string[]] } | { name: string; file: string };

/** Names as in IPA's archive, so that people and scripts find what they know. */
const SOURCES: readonly LogSource[] = [
  { name: 'df', command: ['df', '-a'] },
  { name: 'dmesg', command: ['dmesg'] },
  { name: 'efibootmgr', command: ['efibootmgr', '-v'] },
  { name: 'ip_addr', command: ['ip', 'addr'] },
  { name: 'ip_route', command: ['ip', 'route'] },
  { name: 'lsblk', command: ['lsblk', '--all', '--ascii'] },
  { name: 'lsblk-full', command: ['lsblk', '--all', '--bytes', '--output-all', '--json'] },
  { name: 'mdstat', file: '/proc/mdstat' },
  { name: 'meminfo', file: '/proc/meminfo' },
  { name: 'mount', file: '/proc/self/mountinfo' },
  { name: 'modules', file: '/proc/modules' },
  { name: 'partitions', file: '/proc/partitions' },
  { name: 'ps', command: ['ps'] },
];

/** Text of one source; why there is none stands in its place, so that a gap explains itself. */
async function readSource(os: AgentOs, source: LogSource, signal: AbortSignal): Promise<string> {
  if ('file' in source) return (await os.files.read(source.file)) ?? `cannot read ${source.file}\n`;
  const [program, ...args] = source.command;
  try {
    const { stdout, stderr } = await os.run(program, args, { signal });
    return stdout + stderr;
  } catch (error) {
    return `${reasonOf(error)}\n`;
  }
}

/** From a blank on: half a word would not be known for the secret that it is. */
function lastPart(text: string): string {
  const part = text.slice(-LONGEST_ENTRY);
  const blank = part.slice(0, LONGEST_WORD).search(/\s/);
  return part.length === text.length ? text : part.slice(blank + 1);
}

async function packTarGz(entries: readonly { name: string; text: string }[], seconds: number): Promise<Buffer> {
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
 * The machine's and the agent's logs as IPA packs them: base64 of a tar.gz. Takes at most 20 s; what is not there by then is
 * named in the archive.
 */
export async function collectSystemLogs(deps: Pick<AgentDeps, 'os' | 'recentLog'>): Promise<string> {
  const signal = AbortSignal.timeout(ALL_TIMEOUT_MS);
  const entries = await Promise.all(
    SOURCES.map(async (source) => ({ name: source.name, text: await readSource(deps.os, source, signal) })),
  );
  const agent = { name: 'ingot-agent.log', text: `${deps.recentLog().join('\n')}\n` };
  const archive = await packTarGz([agent, ...entries], Math.floor(deps.os.clock.now() / 1000));
  return archive.toString('base64');
}

export const LOG_COMMANDS: readonly CommandSpec<AgentDeps>[] = [
  {
    name: 'log.collect_system_logs',
    mode: 'sync',
    summary: 'Packs the logs of the machine and of the agent.',
    params: Type.Object({}),
    run: async (deps) => ({ system_logs: await collectSystemLogs(deps) }),
  },
];
