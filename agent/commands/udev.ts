/**
 * The properties of block devices in what `udevadm info --export-db` prints: paragraphs of lines with a letter, of which `N:` is
 * the device's name and `E:` one property (udevadm(8)).
 * @returns by kernel name
 */
export function blockProperties(text: string): Map<string, Record<string, string>> {
  const devices = new Map<string, Record<string, string>>();
  for (const paragraph of text.split(/\n\n+/)) {
    const lines = paragraph.split('\n');
    const name = lines.find((line) => line.startsWith('N: '))?.slice(3);
    const properties = Object.fromEntries(
      lines
        .filter((line) => line.startsWith('E: ') && line.includes('='))
        .map((line) => [line.slice(3, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    ) as Record<string, string>;
    if (name !== undefined && properties['SUBSYSTEM'] === 'block') devices.set(name, properties);
  }
  return devices;
}
