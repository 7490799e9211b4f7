import { createHash } from 'node:crypto';

import type { BuilderHost } from '../../../builder/host/door.ts';
import type { Progress } from '../../../cli/progress.ts';
import { makeRootArchive, shellWord } from '../../lab/root-archive.ts';
import { interopFailure } from './failures.ts';

const RELEASE = 'trixie';

const PACKAGES = [
  'ca-certificates',
  'iproute2', // the namespace's loopback
  'ironic-api', // its settings; the single process itself is in ironic-common
  'ironic-conductor',
  'nginx-light',
  'procps',
  'python3-ironicclient',
  'python3-openstackclient',
  'python3-pymysql', // imported even with SQLite
  'qemu-utils', // the conductor looks into images
  'sqlite3',
  'xorriso', // makes config drives
];

const EXCLUDED = ['doc', 'man', 'info', 'locale'].map((folder) => `/usr/share/${folder}/*`);

/** Nothing may start while packages are installed: there is no init, and the database is ours to make. */
const NO_STARTS = `mkdir -p "$1/usr/sbin" && printf '#!/bin/sh\\nexit 101\\n' > "$1/usr/sbin/policy-rc.d" && chmod 755 "$1/usr/sbin/policy-rc.d"`;

/**
 * Debian 29.0.5-0+deb13u3 changed a node's PATCH so that one which leaves \`parent_node\` alone stores the node as its own
 * parent; every power action afterwards finds "its child" locked by itself. This asks first whether the patch names the field,
 * as Ironic did before. It is a fix of a package, not of the protocol, and does nothing where the line is no longer there.
 */
const PATCH_FIX = [
  's/^        if parent_node := api_utils.authorize_node_link_patch($/',
  "        if api_utils.get_patch_values(patch, '\\/parent_node') and (\\n            parent_node := api_utils.authorize_node_link_patch(/",
  ";s/^                rpc_node, patch, 'parent_node'):$/                rpc_node, patch, 'parent_node')):/",
].join('');
const PATCHED_FILE = '/usr/lib/python3/dist-packages/ironic/api/controllers/v1/node.py';

const HOOKS = [
  `--setup-hook=${NO_STARTS}`,
  `--customize-hook=sed -i ${shellWord(PATCH_FIX)} "$1${PATCHED_FILE}" && chroot "$1" python3 -m py_compile ${PATCHED_FILE}`,
];

/**
 * A tree of Debian packages with Ironic, its client and a web server, as one archive in the cache.
 * @throws Failure `IRONIC_TREE`
 */
export async function ironicTree(options: {
  host: BuilderHost;
  mirror: readonly string[];
  progress: Progress;
  signal: AbortSignal;
}): Promise<string> {
  const { host, signal } = options;
  const recipe = { release: RELEASE, packages: PACKAGES, excluded: EXCLUDED, hooks: HOOKS };
  const digest = createHash('sha256').update(JSON.stringify(recipe)).digest('hex');
  const make = (target: string) =>
    makeRootArchive(target, {
      ...options,
      ...recipe,
      fail: (complaints, cause) => interopFailure('IRONIC_TREE', `mmdebstrap says: ${complaints}`, { cause }),
    });
  return host.cache.exclusively(`ironic-${digest}`, signal, () => host.cache.file('ironic', `${digest}.tar`, make));
}
