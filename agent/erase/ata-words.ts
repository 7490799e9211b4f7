import type { AtaAbilities } from './abilities.ts';

const FEATURES = /SANITIZE feature set|(?:CRYPTO_SCRAMBLE|OVERWRITE|BLOCK_ERASE)_EXT/;

/** What `hdparm -I` (9.65) prints of security and Sanitize. */
export function parseHdparmIdentify(output: string): AtaAbilities {
  const lines = output.split('\n').map((line) => line.trim().replaceAll(/\s+/g, ' '));
  const start = lines.findIndex((line) => line.startsWith('Security:'));
  const end = start < 0 ? -1 : lines.findIndex((line, index) => index > start && /^[A-Z][^:]*:/.test(line));
  const security = start < 0 ? [] : lines.slice(start + 1, end < 0 ? undefined : end);
  const has = (word: string) => security.includes(word);
  const minutes = (pattern: RegExp) => {
    const found = pattern.exec(security.join('\n'))?.[1];
    return found === undefined ? null : Number(found);
  };
  // A star stands before what is enabled.
  const features = lines.filter((line) => FEATURES.test(line));
  const enabled = (name: string) => features.some((line) => line.startsWith('*') && line.includes(name));
  const hasSanitize = enabled('SANITIZE feature set');
  return {
    isSupported: has('supported'),
    isEnabled: has('enabled'),
    isLocked: has('locked'),
    isFrozen: has('frozen'),
    hasEnhanced: has('supported: enhanced erase'),
    eraseMinutes: minutes(/(\d+)min for SECURITY ERASE UNIT/),
    enhancedMinutes: minutes(/(\d+)min for ENHANCED SECURITY ERASE UNIT/),
    sanitize: {
      block: hasSanitize && enabled('BLOCK_ERASE_EXT'),
      crypto: hasSanitize && enabled('CRYPTO_SCRAMBLE_EXT'),
      overwrite: hasSanitize && enabled('OVERWRITE_EXT'),
    },
    words: [...security, ...features].filter((line) => line !== ''),
  };
}

/**
 * What `hdparm -N` says: `max sectors = 1953525168/1953525168, HPA is disabled`.
 * @param sectors that the kernel sees: a disk that shows another number talks nonsense (QEMU's says 0 of 1)
 */
export function parseHpa(output: string, sectors?: number): { text: string; hiddenSectors: number | null } {
  const found = /max sectors\s*=\s*(\d+)\/(\d+)[^,]*,\s*(.+)/.exec(output);
  // hdparm prints "HPA setting seems invalid" where the disk, or what stands for one, answers nonsense.
  const isOther = sectors !== undefined && Number(found?.[1]) !== sectors;
  if (!found || isOther || /invalid/.test(found[3] ?? ''))
    return { text: 'unknown: the disk does not say', hiddenSectors: null };
  const hidden = Number(found[2]) - Number(found[1]);
  return hidden > 0
    ? { text: `${hidden} sectors are hidden (${found[1]} of ${found[2]} are visible)`, hiddenSectors: hidden }
    : { text: 'none', hiddenSectors: 0 };
}

/** What `hdparm --dco-identify` says. @param visible sectors that the host sees */
export function parseDco(output: string, visible: number): { text: string; hiddenSectors: number | null } {
  const real = /Real max sectors:\s*(\d+)/.exec(output)?.[1];
  if (real === undefined || !Number.isFinite(visible))
    return { text: 'unknown: the disk does not say', hiddenSectors: null };
  const hidden = Number(real) - visible;
  return hidden > 0
    ? { text: `${hidden} sectors are hidden (${visible} of ${real} are visible)`, hiddenSectors: hidden }
    : { text: 'none', hiddenSectors: 0 };
}

/** What `hdparm --sanitize-status` says of the device's state; ACS-3, 7.36. */
export function parseSanitizeStatus(output: string): {
  state: 'idle' | 'done' | 'running' | 'frozen';
  percent: number | null;
} {
  const percent = /Progress:[^(]*\((\d+)%\)/.exec(output)?.[1];
  const state = /\bSD2\b|In Process/.test(output)
    ? 'running'
    : /\bSD1\b|Sanitize Frozen/.test(output)
      ? 'frozen'
      : /Completed Without Error/.test(output)
        ? 'done'
        : 'idle';
  return { state, percent: percent === undefined ? null : Number(percent) };
}
