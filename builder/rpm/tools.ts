import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { RunResult } from '../../system/run.ts';
import type { BuilderHost } from '../host/door.ts';
import { toolCommand } from '../sysroot.ts';

/** What a tool tree must have to choose, check and unpack RPM packages. */
export const RPM_TOOL_PACKAGES = ['dnf', 'rpm', 'sqv', 'distribution-gpg-keys'];

/** A tool tree, and a folder that its programs take for their home. */
export type RpmTools = { host: BuilderHost; root: string; home: string; policy: string; signal: AbortSignal };

/** Sequoia's words for: signatures over SHA-1 count, and so does the form of signatures that rpm wrote in those days. */
const SHA1_POLICY = `[hash_algorithms]
sha1.collision_resistance = "always"
sha1.second_preimage_resistance = "always"

[packets]
signature.v3 = "always"
`;

/**
 * @param root of a tool tree with `RPM_TOOL_PACKAGES`
 * @param acceptSha1 whether signatures over SHA-1 count
 */
export async function openRpmTools(
  host: BuilderHost,
  root: string,
  acceptSha1: boolean,
  signal: AbortSignal,
): Promise<RpmTools> {
  const home = host.cache.path('rpm', 'home');
  await mkdir(home, { recursive: true });
  // rpm asks this file which signatures count; an empty one means the library's own rules.
  if (!acceptSha1) return { host, root, home, policy: '/dev/null', signal };
  const digest = createHash('sha256').update(SHA1_POLICY).digest('hex');
  const policy = await host.cache.file('rpm-policy', digest, (file) => writeFile(file, SHA1_POLICY));
  return { host, root, home, policy, signal };
}

/** Settings that keep the tools within their tree: none of the host's RPM, Python, SASL or OpenSSL configuration is read. */
export function rpmEnvironment({
  root,
  home,
  policy,
}: Pick<RpmTools, 'root' | 'home' | 'policy'>): Record<string, string> {
  return {
    HOME: home,
    RPM_CONFIGDIR: join(root, 'usr/lib/rpm'),
    PYTHONHOME: join(root, 'usr'),
    PYTHONNOUSERSITE: '1',
    PYTHONDONTWRITEBYTECODE: '1',
    SASL_PATH: join(home, 'none'),
    GCONV_PATH: join(home, 'none'),
    OPENSSL_CONF: '/dev/null',
    LDAPNOINIT: '1',
    SEQUOIA_CRYPTO_POLICY: policy,
  };
}

/** Command, arguments and environment of a program of the tree; `rpm` and `rpmkeys` read no macros but the tree's. */
export function rpmCommand(tools: RpmTools, program: string, args: readonly string[]) {
  const [file, ...head] = toolCommand(tools.root, `/usr/bin/${program}`);
  const own = ['rpm', 'rpmkeys'].includes(program) ? [`--macros=${join(tools.root, 'usr/lib/rpm/macros')}`] : [];
  return { file, args: [...head, ...own, ...args], env: rpmEnvironment(tools) };
}

/** Runs a program of the tree. @throws Failure `COMMAND_FAILED` */
export function runRpm(
  tools: RpmTools,
  program: string,
  args: readonly string[],
  options: { input?: string; okExitCodes?: readonly number[] } = {},
): Promise<RunResult> {
  const command = rpmCommand(tools, program, args);
  return tools.host.run(command.file, command.args, { ...options, env: command.env, signal: tools.signal });
}
