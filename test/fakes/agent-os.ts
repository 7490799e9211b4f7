import type { AgentOs, SystemFiles } from '../../agent/os/door.ts';
import { Failure } from '../../system/failure.ts';
import type { Run } from '../../system/run.ts';
import { fakeClock } from './clock.ts';

/** Files in memory: a path is a file, or a folder when other paths begin with it. */
export function memoryFiles(
  initial: Readonly<Record<string, string>> = {},
): SystemFiles & { all: Map<string, string> } {
  const all = new Map(Object.entries(initial));
  return {
    all,
    read: async (path) => all.get(path),
    readBytes: async (path) => {
      const text = all.get(path);
      return text === undefined ? undefined : Buffer.from(text);
    },
    list: async (path) => {
      const names = [...all.keys()]
        .filter((name) => name.startsWith(`${path}/`))
        .map((name) => name.slice(path.length + 1).split('/')[0] ?? '');
      return [...new Set(names)];
    },
    resolve: async (path) => (all.has(path) ? path : undefined),
    exists: async (path) => all.has(path) || [...all.keys()].some((name) => name.startsWith(`${path}/`)),
    kind: async (path) => (all.has(path) ? (path.startsWith('/dev/') ? 'block device' : 'file') : undefined),
    isExecutable: async (path) => all.has(path),
    write: async (path, content) => {
      all.set(path, typeof content === 'string' ? content : Buffer.from(content).toString('utf8'));
    },
    makeDirectory: async () => undefined,
    remove: async (path) => {
      all.delete(path);
    },
  };
}

/** Programs answer from a table by their whole command line; anything else fails as a missing program does. */
export function fakeRun(answers: Readonly<Record<string, string | Error>> = {}): Run & { calls: string[] } {
  const calls: string[] = [];
  const run: Run = async (file, args) => {
    const command = [file, ...args].join(' ');
    calls.push(command);
    const answer = answers[command];
    if (answer === undefined) throw new Failure('COMMAND_FAILED', `cannot run ${command}: spawn ${file} ENOENT`);
    if (answer instanceof Error) throw answer;
    return { stdout: answer, stderr: '', exitCode: 0 };
  };
  return Object.assign(run, { calls });
}

/** A machine of which nothing is real but what the test hands in. */
export function fakeOs(parts: Partial<AgentOs> = {}): AgentOs {
  return {
    run: fakeRun(),
    runBytes: () => Promise.reject(new Error('this machine has no programs whose output is no text')),
    follow: (file) => Promise.reject(new Failure('COMMAND_FAILED', `cannot run ${file}: spawn ${file} ENOENT`)),
    filter: () => {
      throw new Error('this machine has no programs to send bytes through');
    },
    files: memoryFiles(),
    clock: fakeClock(),
    addresses: () => [
      { interface: 'lo', address: '127.0.0.1', family: 4, mac: '00:00:00:00:00:00', internal: true },
      { interface: 'eth0', address: '10.0.2.15', family: 4, mac: '52:54:00:11:22:44', internal: false },
    ],
    exchange: async () => undefined,
    hostname: () => 'rack-1',
    totalMemoryBytes: () => 2 ** 30,
    openDevice: () => Promise.reject(new Error('this machine has no devices')),
    openFile: () => Promise.reject(new Error('this machine has no files to open')),
    ...parts,
  };
}
