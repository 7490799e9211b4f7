import type { Run, RunOptions, RunResult } from '../system/run.ts';

/** Debian's own tools in a folder, so that machines are the same on every host and nothing is installed. */
export type Tools = {
  root: string;
  /** Path of a file of the tree on this host. */
  path: (inside: string) => string;
  /** The words that run one of its programs (absolute path inside the tree). */
  command: (program: string, args: readonly string[]) => { file: string; args: string[]; env: Record<string, string> };
  /** Runs one of its programs to its end. */
  run: (program: string, args: readonly string[], options?: RunOptions) => Promise<RunResult>;
};

/**
 * @param root the tree
 * @param words the words that run a program of it by its own loader
 */
export function toolsIn(root: string, words: (program: string) => readonly string[], run: Run): Tools {
  const command: Tools['command'] = (program, args) => {
    const [file = '', ...before] = words(program);
    // QEMU would look for its modules in the host's /usr; mke2fs and mtools would read the host's settings.
    const env = {
      QEMU_MODULE_DIR: `${root}/usr/lib/qemu-has-no-modules-here`,
      MKE2FS_CONFIG: `${root}/etc/mke2fs.conf`,
      // File names in UTF-8, such as those of certificates; glibc carries this locale in itself.
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
      const { file, args: all, env } = command(program, args);
      return run(file, all, { ...options, env: { ...env, ...options.env } });
    },
  };
}
