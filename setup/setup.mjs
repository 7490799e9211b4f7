// Makes a fresh Debian machine ready for `npm run demo` and `npm test`: npm packages from the lock file, Debian packages
// from packages.json. Plain JavaScript without imports from the project, because it runs before anything is installed, on
// whatever Node the machine has. Quick when all is there. A program named on the command line is started afterwards: a
// shell that found `node` before the set-up would go on with that old one.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function stop(message, hint) {
  console.error(`setup: ${message}${hint ? `\n  try: ${hint}` : ''}`);
  process.exit(1);
}

function run(file, args, options = {}) {
  const result = spawnSync(file, args, { stdio: 'inherit', cwd: root, ...options });
  if (result.error) stop(`cannot start ${file}: ${result.error.message}`);
  if (result.signal) process.exit(130);
  return result;
}

/** The lock file's digest is kept beside what was installed from it; equal digests mean that nothing is to be done. */
function installNpmPackages() {
  const stamp = join(root, 'node_modules', '.ingot-setup');
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(process.arch)
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.error('setup: installing npm packages from the lock file');
  if (run('npm', ['ci', '--no-progress', '--loglevel=error']).status !== 0)
    stop('cannot install the npm packages: npm ci failed (see above)', 'npm ci');
  writeFileSync(stamp, wanted);
}

function wantedDebianPackages() {
  return Object.keys(JSON.parse(readFileSync(join(root, 'setup', 'packages.json'), 'utf8'))); // kept sorted
}

function missingDebianPackages() {
  const wanted = wantedDebianPackages();
  const query = spawnSync('dpkg-query', ['-W', '-f', '${db:Status-Status} ${Package}\n', ...wanted], {
    encoding: 'utf8',
  });
  if (query.error)
    stop(
      'cannot look for Debian packages: there is no dpkg-query here',
      `a Debian 12 or 13 machine, or install what these packages hold: ${wanted.join(' ')}`,
    );
  const installed = new Set(
    query.stdout
      .split('\n')
      .filter((line) => line.startsWith('installed '))
      .map((line) => line.slice('installed '.length)),
  );
  return wanted.filter((name) => !installed.has(name));
}

function installDebianPackages() {
  const missing = missingDebianPackages();
  if (missing.length === 0) return;
  const command = `apt-get install --no-install-recommends ${missing.join(' ')}`;
  if (process.getuid() !== 0)
    stop(`these Debian packages are missing, and installing them needs root: ${missing.join(' ')}`, `sudo ${command}`);
  console.error(`setup: installing Debian packages: ${missing.join(' ')}`);
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  // A list that cannot be refreshed is no reason to stop: what is needed may be in the old one, or in another.
  run('apt-get', ['update', '-qq'], options);
  if (
    run('apt-get', ['install', '-y', '-qq', '-o', 'Dpkg::Use-Pty=0', '--no-install-recommends', ...missing], options)
      .status !== 0
  )
    stop('cannot install the Debian packages: apt-get failed (see above)', command);
  const still = missingDebianPackages();
  if (still.length > 0) stop(`these Debian packages are still missing: ${still.join(' ')}`, command);
}

installNpmPackages();
installDebianPackages();
const [program] = process.argv.splice(2, 1);
if (program !== undefined) {
  const { launch } = await import('../bin/launch.mjs');
  await launch(program);
}
