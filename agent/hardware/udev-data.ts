import type { AgentOs } from '../os/door.ts';

export type UdevProperties = ReadonlyMap<string, string>;

/**
 * What udev keeps of a device: lines of a letter, a colon and a text, of which `E:` is one property (systemd's `sd-device`, which also
 * writes the file). Read without a program: `udevadm info` for each disk would cost more than all else that is asked of disks.
 */
export function parseUdevData(text: string): UdevProperties {
  return new Map(
    text.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return line.startsWith('E:') && at > 2 ? [[line.slice(2, at), line.slice(at + 1)] as const] : [];
    }),
  );
}

/**
 * udev's properties of a block device.
 * @param number `8:0`, major and minor
 * @returns undefined while udev has not looked at it, or where there is no udev
 */
export async function readUdevData(os: Pick<AgentOs, 'files'>, number: string): Promise<UdevProperties | undefined> {
  const text = await os.files.read(`/run/udev/data/b${number}`);
  return text === undefined ? undefined : parseUdevData(text);
}

/** udev removes this file when it has done all that the kernel told it of (systemd's `udev-util`). */
const QUEUE = '/run/udev/queue';

/** Waits until udev has looked at every device; the program that waits is started only where there is something to wait for. */
export async function settleUdev(os: Pick<AgentOs, 'run' | 'files'>, options: { isBusy: boolean }): Promise<void> {
  if (!options.isBusy && !(await os.files.exists(QUEUE))) return;
  await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
}
