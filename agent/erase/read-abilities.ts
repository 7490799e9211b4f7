import { reasonOf } from '../../system/failure.ts';
import type { ExaminedDisk } from '../disk/examine.ts';
import type { AgentOs } from '../os/door.ts';
import type { Abilities, AtaAbilities, NvmeAbilities, OpalAbilities } from './abilities.ts';
import { parseDco, parseHdparmIdentify, parseHpa } from './ata-words.ts';
import { parseIdCtrl, parseSanitizeLog, SANITIZE_LOG } from './nvme-words.ts';
import { parseOpalQuery } from './opal-words.ts';
import { readScsi } from './read-scsi.ts';

const TIMEOUT_MS = 60_000;

type Ask = (program: string, ...args: string[]) => Promise<string | undefined>;

export function isMissing(error: unknown): boolean {
  return /ENOENT/.test(reasonOf(error));
}

/** @returns a function that asks programs; undefined is "it would not say", and `missing` has programs that are not there */
function asker(os: AgentOs, missing: Set<string>): Ask {
  return async (program, ...args) => {
    try {
      return (await os.run(program, args, { timeoutMs: TIMEOUT_MS })).stdout;
    } catch (error) {
      if (isMissing(error)) missing.add(program);
      return undefined;
    }
  };
}

/** As the device's log has it, in binary: the JSON of it has changed from one nvme-cli to the next. */
export async function readSanitizeLog(os: AgentOs, controller: string): Promise<ReturnType<typeof parseSanitizeLog>> {
  const args = [
    'get-log',
    controller,
    `--log-id=${SANITIZE_LOG.id}`,
    `--log-len=${SANITIZE_LOG.bytes}`,
    '--raw-binary',
  ];
  return parseSanitizeLog(await os.runBytes('nvme', args, { timeoutMs: TIMEOUT_MS }));
}

async function readNvme(os: AgentOs, disk: ExaminedDisk, ask: Ask): Promise<NvmeAbilities | undefined> {
  const controller = disk.nvme?.controllers[0] ?? disk.disk.name.replace(/n\d+$/, '');
  const identity = await ask('nvme', 'id-ctrl', controller, '-o', 'json');
  const abilities = identity === undefined ? undefined : parseIdCtrl(identity, controller);
  if (abilities === undefined) return undefined;
  const { sanitize } = abilities;
  if (!sanitize.block && !sanitize.crypto && !sanitize.overwrite) return { ...abilities, sanitizeState: 'idle' };
  try {
    return { ...abilities, sanitizeState: (await readSanitizeLog(os, controller)).state };
  } catch {
    // Without its log nobody could tell when a sanitize is done, or whether it was.
    return { ...abilities, sanitize: { block: false, crypto: false, overwrite: false }, sanitizeState: 'idle' };
  }
}

async function readAta(ask: Ask, path: string): Promise<AtaAbilities | undefined> {
  const identity = await ask('hdparm', '-I', path);
  // For a disk of another kind hdparm prints a page all the same, of zeros: "ATA device", and a model that is empty.
  return identity === undefined || !/Model Number:[ \t]*\S/.test(identity) ? undefined : parseHdparmIdentify(identity);
}

async function readHidden(ask: Ask, { disk }: ExaminedDisk): Promise<Pick<Abilities, 'hidden' | 'hasHiddenSectors'>> {
  const path = disk.name;
  const limits = (await ask('hdparm', '-N', path)) ?? '';
  const sectors = disk.size / (disk.logical_sectors ?? 512);
  const hpa = parseHpa(limits, sectors);
  const dco = parseDco((await ask('hdparm', '--dco-identify', path)) ?? '', sectors);
  return {
    hidden: { hpa: hpa.text, dco: dco.text },
    hasHiddenSectors: (hpa.hiddenSectors ?? 0) > 0 || (dco.hiddenSectors ?? 0) > 0,
  };
}

const noHidden = (why: string) => ({ hidden: { hpa: why, dco: why }, hasHiddenSectors: false });
const NOT_ATA = noHidden('not an ATA disk');

/** One that nobody could ask may be an ATA disk, and may hide sectors: that it hides none must not be said. */
function notAsked({ disk }: ExaminedDisk, missing: ReadonlySet<string>): Partial<Abilities> {
  if (missing.has('hdparm')) return noHidden('unknown: the tool hdparm is not in this ramdisk');
  return disk.vendor === 'ATA' ? noHidden('unknown: the disk does not say') : {};
}

async function readOpal(ask: Ask, path: string, psid: string | undefined): Promise<OpalAbilities | undefined> {
  if (psid === undefined) return undefined;
  const said = await ask('sedutil-cli', '--query', path);
  return said === undefined ? undefined : parseOpalQuery(said);
}

/**
 * Asks a disk what it can do about erasing itself. Reads only; never fails: what does not answer has no abilities.
 * @param psid with one the disk is asked about TCG Opal, too
 */
export async function readAbilities(os: AgentOs, disk: ExaminedDisk, psid?: string): Promise<Abilities> {
  const missing = new Set<string>();
  const ask = asker(os, missing);
  const { name } = disk.disk;
  const opal = disk.kind === 'disk' ? await readOpal(ask, name, psid) : undefined;
  const done = (found: Partial<Abilities>): Abilities => ({
    nvme: undefined,
    ata: undefined,
    scsi: undefined,
    opal,
    ...NOT_ATA,
    ...found,
    missing: [...missing].toSorted(),
  });
  if (disk.kind !== 'disk') return done({});
  if (disk.kname.startsWith('nvme')) return done({ nvme: await readNvme(os, disk, ask) });
  if (!disk.kname.startsWith('sd')) return done({});
  const ata = await readAta(ask, name);
  if (ata) return done({ ata, ...(await readHidden(ask, disk)) });
  return done({ scsi: await readScsi(os, disk, missing), ...notAsked(disk, missing) });
}
