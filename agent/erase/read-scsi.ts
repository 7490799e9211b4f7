import { reasonOf } from '../../system/failure.ts';
import type { ExaminedDisk } from '../disk/examine.ts';
import type { AgentOs } from '../os/door.ts';
import type { ScsiAbilities } from './abilities.ts';
import { parseOpcode, parseReadsAfter, parseSense, type Sense } from './scsi-words.ts';

const TIMEOUT_MS = 60_000;
/** A disk that does not know a command answers with an error, which is an answer. */
const ANY_CODE = Array.from({ length: 256 }, (_, code) => code);

/** SBC-4, 5.30: SANITIZE is 0x48, its service actions 1 overwrite, 2 block erase, 3 cryptographic erase. */
const ACTIONS = { block: '0x48,0x2', crypto: '0x48,0x3', overwrite: '0x48,0x1' } as const;
const KINDS = ['block', 'crypto', 'overwrite'] as const;

/** What the device is at, in its own bytes: the words of sg_requests are not the same from one version to the next. */
export async function readSense(os: AgentOs, path: string): Promise<Sense> {
  return parseSense(
    await os.runBytes('sg_requests', ['--raw', path], { timeoutMs: TIMEOUT_MS, okExitCodes: ANY_CODE }),
  );
}

/**
 * Asks a SCSI disk for its ways of Sanitize (REPORT SUPPORTED OPERATION CODES), and for what reads give afterwards.
 * @param missing gets the name of the tool when it is not there
 * @returns undefined when nobody can ask
 */
export async function readScsi(
  os: AgentOs,
  { disk, kname }: ExaminedDisk,
  missing: Set<string>,
): Promise<ScsiAbilities | undefined> {
  const page = await os.files.readBytes(`/sys/class/block/${kname}/device/vpd_pgb1`).catch(() => undefined);
  const abilities: ScsiAbilities = {
    sanitize: { block: false, crypto: false, overwrite: false },
    takesOthers: { block: false, crypto: false, overwrite: false },
    readsAfter: parseReadsAfter(page),
  };
  try {
    for (const kind of KINDS) {
      const { stdout } = await os.run('sg_opcodes', [`--opcode=${ACTIONS[kind]}`, disk.name], {
        timeoutMs: TIMEOUT_MS,
        okExitCodes: ANY_CODE,
      });
      const { isSupported, takesOthers } = parseOpcode(stdout);
      abilities.sanitize[kind] = isSupported;
      abilities.takesOthers[kind] = isSupported && takesOthers;
    }
  } catch (error) {
    if (/ENOENT/.test(reasonOf(error))) missing.add('sg_opcodes');
    return undefined;
  }
  return abilities;
}
