/** Reads Debian's control-file format: stanzas of `Field: value` apart by empty lines. Field names are lower-cased. */
export function parseStanzas(text: string): Map<string, string>[] {
  const stanzas: Map<string, string>[] = [];
  let current = new Map<string, string>();
  let field = '';
  for (const line of [...text.split('\n'), '']) {
    if (line.startsWith('#')) continue;
    if (line.trim() === '') {
      if (current.size > 0) stanzas.push(current);
      current = new Map();
      field = '';
    } else if (/^[ \t]/.test(line)) {
      current.set(field, `${current.get(field) ?? ''}\n${line.trim()}`.trim());
    } else {
      const colon = line.indexOf(':');
      field = line.slice(0, colon).toLowerCase();
      current.set(field, line.slice(colon + 1).trim());
    }
  }
  return stanzas;
}
