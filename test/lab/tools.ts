import type { BuilderHost } from '../../builder/host/door.ts';
import { toolCommand, toolSysroot } from '../../builder/sysroot.ts';
import type { Progress } from '../../cli/progress.ts';
import type { Run, RunOptions, RunResult } from '../../system/run.ts';
import type { Platform } from './platform.ts';

/** What makes images; QEMU and its firmware come from the platform's row. */
const IMAGE_TOOLS = ['qemu-utils', 'e2fsprogs', 'libarchive13t64', 'dosfstools', 'mtools', 'gdisk'];

/** Debian trixie's own tools in a folder of the cache, so that the lab is the same on every host and nothing is installed. */
export type Tools = {
  root: string;
  /** Path of a file of the tree on this host. */
  path: (inside: string) => string;
  /** The words that run one of its programs (absolute path inside the tree). */
  command: (program: string, args: readonly string[]) => { file: string; args: string[]; env: Record<string, string> };
  /** Runs one of its programs to its end. */
  run: (program: string, args: readonly string[], options?: RunOptions) => Promise<RunResult>;
};

/** @param root a tree that `toolSysroot` made */
export function toolsIn(root: string, run: Run): Tools {
  const command: Tools['command'] = (program, args) => {
    const [file, ...before] = toolCommand(root, program);
    // QEMU would look for its modules in the host's /usr; mke2fs and mtools would read the host's settings.
    const env = {
      QEMU_MODULE_DIR: `${root}/usr/lib/qemu-has-no-modules-here`,
      MKE2FS_CONFIG: `${root}/etc/mke2fs.conf`,
      // The file names of the user image's certificates are UTF-8; glibc carries this locale in itself.
      LC_ALL: 'C.UTF-8',
      MTOOLSRC: '/dev/null',
      MTOOLS_SKIP_CHECK: '1',
    };
    return { file, args: [...before, ...args], env };
  };
  return {
    root,
    path: (inside) => `${root}${inside}`,
    command,
    run: (program, args, options = {}) => {
      const words = command(program, args);
      return run(words.file, words.args, { ...options, env: { ...words.env, ...options.env } });
    },
  };
}

/** Fetches and unpacks the tools, or finds them in the cache. */
export async function labTools(
  host: BuilderHost,
  platform: Platform,
  options: { progress: Progress; signal: AbortSignal; mirror?: readonly string[] },
): Promise<Tools> {
  const packages = [...platform.packages, ...IMAGE_TOOLS];
  return toolsIn(await toolSysroot({ host, packages, ...options }), host.run);
}
