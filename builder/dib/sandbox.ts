import { readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import type { Duplex } from 'node:stream';

import { reasonOf } from '../../system/failure.ts';
import type { BuilderHost } from '../host/door.ts';
import { dibFailure } from './failures.ts';

type Child = ReturnType<BuilderHost['start']>;

/** Lines for /proc/PID/uid_map and gid_map: inside, outside, count. */
export type IdMaps = { uids: readonly IdRange[]; gids: readonly IdRange[] };
type IdRange = readonly [inside: number, outside: number, count: number];

/** As many as there are 16-bit numbers: 0 to 65535, with nobody at 65534. */
const COUNT = 65_536;

/** The first range of a user in /etc/subuid or /etc/subgid. */
export function subordinateRange(
  text: string,
  user: { name: string; id: number },
): readonly [number, number] | undefined {
  for (const line of text.split('\n')) {
    const [owner, first, count] = line.split(':');
    if ((owner === user.name || owner === String(user.id)) && Number(count) > 0) return [Number(first), Number(count)];
  }
  return undefined;
}

/**
 * Which numbers of users and groups the inside has. Root takes its own, so that owners on disk are those of the tree; anybody
 * else is root inside, and has the numbers that /etc/subuid and /etc/subgid grant for the others.
 * @throws Failure `DIB_NO_SANDBOX` for a user without such numbers
 */
export async function idMaps(user: { name: string; uid: number; gid: number } = ownUser()): Promise<IdMaps> {
  if (user.uid === 0) return { uids: [[0, 0, COUNT]], gids: [[0, 0, COUNT]] };
  const ranges = await Promise.all(
    (['uid', 'gid'] as const).map(async (kind) => {
      const text = await readFile(`/etc/sub${kind}`, 'utf8').catch(() => '');
      return subordinateRange(text, { name: user.name, id: user.uid });
    }),
  );
  const [uids, gids] = ranges;
  if (uids === undefined || gids === undefined)
    throw dibFailure(
      'DIB_NO_SANDBOX',
      `${user.name} may use no other numbers of users and groups, and packages have files of several`,
      {
        hint: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${user.name} (as root), with the package uidmap; builds without such elements need none of it`,
      },
    );
  const rows = (own: number, [first, count]: readonly [number, number]): IdRange[] => [
    [0, own, 1],
    [1, first, Math.min(count, COUNT - 1)],
  ];
  return { uids: rows(user.uid, uids), gids: rows(user.gid, gids) };
}

function ownUser() {
  const { username: name, uid, gid } = userInfo();
  return { name, uid, gid };
}

async function writeMaps(host: BuilderHost, pid: number, maps: IdMaps, signal: AbortSignal): Promise<void> {
  for (const [kind, rows] of [
    ['uid', maps.uids],
    ['gid', maps.gids],
  ] as const) {
    const isOwn = rows.every(([inside, outside]) => inside === outside);
    if (isOwn) await writeFile(`/proc/${pid}/${kind}_map`, rows.map((row) => `${row.join(' ')}\n`).join(''));
    else await host.run(`new${kind}map`, [pid, ...rows.flat()].map(String), { signal });
  }
}

export type SandboxOptions = {
  env?: Readonly<Record<string, string>>;
  /** The caller's terminal, for a shell; otherwise output comes through pipes. */
  terminal?: boolean;
  signal: AbortSignal;
  /** Called for each line of output. */
  onLine?: (line: string) => void;
  /** Called for each line that the program writes to its file descriptor 3. */
  onEvent?: (line: string) => void;
};

/** Waits for permission, which comes when the numbers of users are in place; if the builder dies before, so does this. */
const GATE =
  'read -r _ <&3 || exit 1; exec setpriv --pdeathsig KILL -- unshare --mount --pid --fork --kill-child -- "$@"';

function eachLine(stream: NodeJS.ReadableStream | null | undefined, onLine: (line: string) => void): void {
  let rest = '';
  stream?.on('data', (piece: Buffer) => {
    const lines = (rest + piece.toString()).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(onLine);
  });
  stream?.on('close', () => rest !== '' && onLine(rest));
}

function ended(child: Child): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on('error', (error) =>
      reject(
        dibFailure('DIB_NO_SANDBOX', `unshare does not start: ${reasonOf(error)}`, {
          hint: 'apt-get install util-linux',
        }),
      ),
    );
    child.on('close', (code) => resolve(code ?? 137));
  });
}

/**
 * Runs a program in user, mount and process namespaces of its own, as root of them. What it mounts is seen by nobody else and is
 * gone when it ends; when the builder dies, whatever way, the kernel kills the program and all that it started.
 * @returns its exit code
 * @throws Failure `DIB_NO_SANDBOX` where the kernel or the machine's settings do not allow it
 */
export async function runInSandbox(
  host: BuilderHost,
  command: readonly string[],
  options: SandboxOptions,
): Promise<number> {
  const { signal, terminal = false } = options;
  const maps = await idMaps();
  signal.throwIfAborted();
  const stdio = terminal
    ? (['inherit', 'inherit', 'inherit', 'pipe'] as const)
    : (['ignore', 'pipe', 'pipe', 'pipe'] as const);
  const child = host.start('unshare', ['--user', '--', 'bash', '-c', GATE, 'ingot', ...command], {
    stdio,
    ...(options.env && { env: options.env }),
  });
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  const end = ended(child);
  end.catch(() => undefined); // awaited below
  const complaints: string[] = [];
  const hear = (line: string) => {
    complaints.push(line);
    options.onLine?.(line);
  };
  eachLine(child.stdout, hear);
  eachLine(child.stderr, hear);
  const gate = child.stdio[3] as Duplex | null | undefined;
  gate?.on('error', () => undefined); // a program that ended early closes its side
  if (options.onEvent) eachLine(gate, options.onEvent);
  try {
    const isInside = await entered(child, end);
    if (!isInside) throw dibFailure('DIB_NO_SANDBOX', complaints.at(-1) ?? 'unshare failed', { hint: HINT });
    await writeMaps(host, child.pid ?? 0, maps, signal).catch((error: unknown) => {
      throw dibFailure('DIB_NO_SANDBOX', reasonOf(error), { cause: error, hint: HINT });
    });
    gate?.write('\n');
    const code = await end;
    signal.throwIfAborted();
    return code;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    stop();
    signal.removeEventListener('abort', stop);
    await end.catch(() => undefined);
  }
}

const HINT =
  'user namespaces must be allowed: see /proc/sys/user/max_user_namespaces and /proc/sys/kernel/unprivileged_userns_clone, and newuidmap must be installed (package uidmap) for anybody but root';

/** Whether the child got into its user namespace: until then its numbers cannot be set. */
async function entered(child: Child, end: Promise<number>): Promise<boolean> {
  const own = (await readFile('/proc/self/uid_map', 'utf8')).trim();
  const over = end.then(
    () => true,
    () => true,
  );
  for (;;) {
    const map = await readFile(`/proc/${child.pid}/uid_map`, 'utf8').catch(() => own);
    // A new user namespace has no numbers at all, until they are written.
    if (map.trim() === '') return true;
    const pause = new Promise<false>((go) => setTimeout(go, 5, false));
    if (await Promise.race([over, pause])) return false;
  }
}
