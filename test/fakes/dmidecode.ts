import type { DmiData, DmiRecord } from '../../agent/hardware/dmi-decode.ts';

/** One block of dmidecode's output: `name: value` lines, and lists below a name without a value. */
function parseBlock(block: string): DmiRecord {
  const record: DmiRecord = {};
  let list: string[] | undefined;
  for (const line of block.split('\n').map((text) => text.trim())) {
    const [, name, value] = /^([^:]+?)\s*:\s*(.*)$/.exec(line) ?? [];
    if (name !== undefined) {
      list = value ? undefined : [];
      record[name] = value || (list ?? []);
    } else if (line.startsWith('Handle 0x')) record['Handle'] = line;
    else list?.push(line);
  }
  return record;
}

/** What ironic-python-agent makes of the output of `dmidecode -t bios -t processor -t memory`. */
export function readDmidecode(output: string): DmiData {
  // dmidecode 3.6 writes an empty line behind the id of a LoongArch processor, at which IPA loses the rest of it.
  const whole = output.replaceAll(/(Processor Identity 0x[0-9a-f]{8})\n\n/g, '$1\n');
  const blocks = whole.split('\n\n').filter((block) => block.startsWith('Handle 0x'));
  const all = (type: number) => blocks.filter((block) => block.includes(`, DMI type ${type}, `)).map(parseBlock);
  const [{ Handle: _handle, ...array } = {}, ...more] = all(16);
  const count = [array, ...more].reduce((sum, one) => sum + Number(one['Number Of Devices'] ?? 0), 0);
  return {
    bios: all(0).at(-1) ?? {},
    cpu: all(4),
    memory: { ...array, 'Number Of Devices': count, devices: all(17) },
  };
}
