import type { AgentOs } from '../os/door.ts';
import { reasonOf } from '../../system/failure.ts';
import { CONFIG_FOLDERS } from './files.ts';

/** What a server's BMC plays to it as a drive: parameters, and files for the folders of the configuration. */
export type VirtualMedia = {
  /** Text of parameters.txt. */
  parameters: string | undefined;
  /** Files that were put into the folders. */
  copied: string[];
  /** What was looked at and not used. */
  notices: string[];
};

const PARAMETERS_LABEL = 'ir-vfd-dev';
const CONFIG_LABELS = ['config-2', 'vmedia_boot_iso'];
const PARAMETERS_FILE = 'parameters.txt';
/** Larger disks on USB are disks (IPA `utils.py`). */
const MOST_BYTES = 4 * 1024 ** 3;
const MOUNT_POINT = '/run/ingot-agent/media';
/** Where tools that set up the network from a config drive leave it mounted. */
const OTHER_MOUNT_POINT = '/mnt/config';
const TIMEOUT_MS = 20_000;

/** Lines of `lsblk --pairs`: `KNAME="/dev/sr0" LABEL="config-2"`. */
export function parsePairs(text: string): Record<string, string>[] {
  return text
    .split('\n')
    .map((line) =>
      Object.fromEntries(
        [...line.matchAll(/([\w:-]+)="((?:[^"\\]|\\.)*)"/g)].map(([, name = '', value = '']) => [
          name,
          unescape(value),
        ]),
      ),
    )
    .filter((row) => Object.keys(row).length > 0);
}

/** lsblk writes blanks, quotes and other characters that a shell would mind as `\x20`. */
function unescape(text: string): string {
  return text.replaceAll(/\\x([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** A whole device, not a partition, that a BMC may have put there: optical, or on USB and small. */
export function isVirtualMedia({ TYPE: type, TRAN: transport, SIZE: size = '' }: Record<string, string>): boolean {
  if (type === 'rom') return true;
  return type === 'disk' && transport === 'usb' && /^\d+$/.test(size) && Number(size) < MOST_BYTES;
}

/** Devices that may be virtual media, by path, with the label of the file system on them in lower case. */
async function listMedia({ run }: AgentOs, notices: string[]): Promise<Map<string, string>> {
  const { stdout } = await run('lsblk', ['-p', '-P', '-b', '-o', 'KNAME,TRAN,TYPE,SIZE,LABEL'], {
    timeoutMs: TIMEOUT_MS,
  });
  const media = new Map<string, string>();
  for (const row of parsePairs(stdout)) {
    const { KNAME: path = '', LABEL: known = '' } = row;
    if (isVirtualMedia(row)) {
      // lsblk knows labels from udev, which does not look into every optical drive.
      const probe = ['-p', '-o', 'value', '-s', 'LABEL', path];
      const label = known || (await run('blkid', probe, { okExitCodes: [0, 2], timeoutMs: TIMEOUT_MS })).stdout.trim();
      media.set(path, label.toLowerCase());
    } else if ([PARAMETERS_LABEL, ...CONFIG_LABELS].includes(known.toLowerCase()))
      notices.push(
        `${path} (${known}) is not taken for virtual media: it is neither an optical drive nor a whole USB disk below 4 GiB`,
      );
  }
  return media;
}

function findByLabel(media: ReadonlyMap<string, string>, wanted: string): string | undefined {
  return [...media].find(([, label]) => label === wanted)?.[0];
}

/**
 * The drive whose files are taken. Where the kernel's line names the publisher of the machine's own medium, another with the
 * same label is somebody else's.
 */
async function findConfigDrive(
  { run }: AgentOs,
  media: ReadonlyMap<string, string>,
  publisher: string | undefined,
  notices: string[],
): Promise<string | undefined> {
  for (const [path] of [...media].filter(([, label]) => CONFIG_LABELS.includes(label))) {
    if (publisher === undefined) return path;
    const probe = ['-p', '-o', 'value', '-s', 'PUBLISHER_ID', path];
    const { stdout } = await run('blkid', probe, { okExitCodes: [0, 2], timeoutMs: TIMEOUT_MS });
    if (stdout.trim().toLowerCase() === publisher.toLowerCase()) return path;
    notices.push(`${path} is not taken: its publisher is "${stdout.trim()}", and ir_pub_id says ${publisher}`);
  }
  return undefined;
}

/** BMCs that give no label still name their drives. */
async function findByModel({ files }: AgentOs, media: ReadonlyMap<string, string>): Promise<string | undefined> {
  for (const path of media.keys()) {
    const model = (await files.read(`/sys/class/block/${path.slice('/dev/'.length)}/device/model`)) ?? '';
    if (model.toLowerCase().includes('virtual media')) return path;
  }
  return undefined;
}

/** What stays mounted is said; it is no reason not to serve. */
async function unmount(os: AgentOs, path: string, notices: string[]): Promise<boolean> {
  try {
    await os.run('umount', [path], { timeoutMs: TIMEOUT_MS });
    return true;
  } catch (error) {
    notices.push(reasonOf(error));
    return false;
  }
}

/** Runs `work` with the folder at which a device is, or for its time is made, readable. */
async function mounted<T>(
  os: AgentOs,
  path: string,
  notices: string[],
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const found = await os.run('findmnt', ['-n', '-o', 'TARGET', path], { okExitCodes: [0, 1], timeoutMs: TIMEOUT_MS });
  const [already = ''] = found.stdout.trim().split('\n');
  if (already !== '') return work(already);
  await os.files.makeDirectory(MOUNT_POINT, 0o700);
  await os.run('mount', ['-o', 'ro,nosuid,nodev,noexec', path, MOUNT_POINT], { timeoutMs: TIMEOUT_MS });
  try {
    return await work(MOUNT_POINT);
  } finally {
    await unmount(os, MOUNT_POINT, notices);
  }
}

async function copyFolders(os: AgentOs, root: string): Promise<string[]> {
  const copied: string[] = [];
  for (const folder of CONFIG_FOLDERS) {
    const names = (await os.files.list(`${root}${folder}`)).toSorted();
    if (names.length > 0) await os.files.makeDirectory(folder);
    for (const name of names) {
      const content = await os.files.readBytes(`${root}${folder}/${name}`);
      if (content === undefined) continue; // a folder: only files are copied
      await os.files.write(`${folder}/${name}`, content, 0o600);
      copied.push(`${folder}/${name}`);
    }
  }
  return copied;
}

/** As often as it takes: config drives may be mounted on top of each other. */
async function unmountOthers(os: AgentOs, notices: string[]): Promise<void> {
  for (let times = 0; times < 10; times += 1) {
    const mounts = (await os.files.read('/proc/mounts')) ?? '';
    if (!mounts.split('\n').some((line) => line.split(' ')[1] === OTHER_MOUNT_POINT)) return;
    if (!(await unmount(os, OTHER_MOUNT_POINT, notices))) return;
  }
}

/** A BMC's drive shows up seconds after the kernel; what came by network does not wait for it. */
const WAIT_SECONDS = 30;
const POLL_MS = 1000;

/**
 * Looks for virtual media and takes from it what is for the agent. To be called when the kernel's line has
 * `boot_method=vmedia`: other machines may have foreign drives in them.
 * @param options.isComplete whether the agent has what it needs without `parameters.txt`
 * @param options.publisher `ir_pub_id` of the kernel's line: the publisher of the ISO image that files are taken from
 */
export async function readVirtualMedia(
  os: AgentOs,
  options: { isComplete: boolean; publisher: string | undefined; signal?: AbortSignal },
): Promise<VirtualMedia> {
  const media: VirtualMedia = { parameters: undefined, copied: [], notices: [] };
  await os.run('udevadm', ['settle', '--timeout=10'], { timeoutMs: TIMEOUT_MS }).catch(() => undefined);
  const start = os.clock.monotonic();
  let [parametersDevice, configDevice]: (string | undefined)[] = [];
  for (;;) {
    const notices: string[] = [];
    try {
      const found = await listMedia(os, notices);
      parametersDevice = findByLabel(found, PARAMETERS_LABEL) ?? (await findByModel(os, found));
      configDevice = await findConfigDrive(os, found, options.publisher, notices);
    } catch (error) {
      notices.push(reasonOf(error));
    }
    media.notices = notices;
    if (parametersDevice !== undefined || (options.isComplete && configDevice !== undefined)) break;
    if (os.clock.monotonic() - start > WAIT_SECONDS * 1000) break;
    await os.clock.sleep(POLL_MS, options.signal);
  }
  if (parametersDevice === undefined && configDevice === undefined)
    media.notices.push(`boot_method=vmedia, but no virtual media showed up within ${WAIT_SECONDS} s`);
  if (parametersDevice !== undefined) {
    media.parameters = await mounted(os, parametersDevice, media.notices, (root) =>
      os.files.read(`${root}/${PARAMETERS_FILE}`),
    );
    if (media.parameters === undefined && parametersDevice !== configDevice)
      media.notices.push(`${parametersDevice} has no ${PARAMETERS_FILE}`);
  }
  if (configDevice !== undefined)
    media.copied = await mounted(os, configDevice, media.notices, (root) => copyFolders(os, root));
  await unmountOthers(os, media.notices);
  return media;
}
