import type { NvmeAbilities, NvmeSanitizeState } from './abilities.ts';

/** Log page 0x81, NVMe Base Specification 2.0, 5.16.1.25. */
export const SANITIZE_LOG = { id: 0x81, bytes: 512 };
const STATES: readonly NvmeSanitizeState[] = ['idle', 'done', 'running', 'failed', 'done'];

/** What the Sanitize Status log page says. @returns how much of it is done, 0 to 1 */
export function parseSanitizeLog(bytes: Uint8Array): { state: NvmeSanitizeState; share: number } {
  if (bytes.length < 4) return { state: 'idle', share: 0 };
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const status = view.readUInt16LE(2) & 0b111;
  return { state: STATES[status] ?? 'failed', share: view.readUInt16LE(0) / 65_536 };
}

/**
 * Identify Controller (5.17.2.1) as `nvme id-ctrl -o json` has it: OACS bit 1 is Format, FNA bits 0 and 1 say that a format (with
 * secure erase) takes all namespaces, bit 2 that there is cryptographic erase; SANICAP bits 0 to 2 are crypto, block and overwrite.
 * @returns undefined when it is no such thing
 */
export function parseIdCtrl(output: string, controller: string): Omit<NvmeAbilities, 'sanitizeState'> | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(output);
  } catch {
    return undefined;
  }
  const words = (parsed ?? {}) as Record<string, unknown>;
  const word = (name: string) => (typeof words[name] === 'number' ? words[name] : 0);
  const [oacs, fna, sanicap] = [word('oacs'), word('fna'), word('sanicap')];
  return {
    controller,
    canFormat: (oacs & 0b10) !== 0,
    hasCryptoErase: (fna & 0b100) !== 0,
    formatsAll: (fna & 0b11) !== 0,
    sanitize: { crypto: (sanicap & 0b1) !== 0, block: (sanicap & 0b10) !== 0, overwrite: (sanicap & 0b100) !== 0 },
    words: { oacs, fna, sanicap },
  };
}
