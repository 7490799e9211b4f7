/** One mount of this process's namespace. `device` is `major:minor`, `source` what was mounted (proc_pid_mountinfo(5)). */
export type Mount = { device: string; mountPoint: string; source: string };

/** Blanks and the like are octal in both files, as getmntent(3) writes them. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** @param text /proc/self/mountinfo */
export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , device, , mountPoint] = before.split(' ');
    const [, source] = after.split(' ');
    if (device === undefined || mountPoint === undefined || source === undefined) return [];
    return [{ device, mountPoint: unescape(mountPoint), source: unescape(source) }];
  });
}

/** Devices and files that the kernel swaps to. @param text /proc/swaps */
export function parseSwaps(text: string): string[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => unescape(line.split(/[ \t]/)[0] ?? ''))
    .filter((path) => path !== '');
}
