/**
 * The words that run a program which the kernel kills as soon as the process that started it is gone, even by SIGKILL:
 * `setpriv` (util-linux, on every Debian) sets the parent-death signal and then becomes the program.
 */
export function ownedCommand(file: string, args: readonly string[]): { file: string; args: string[] } {
  return { file: 'setpriv', args: ['--pdeathsig', 'KILL', '--', file, ...args] };
}
