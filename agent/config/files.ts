import type { SystemFiles } from '../os/door.ts';
import type { ConfigSource } from './settings.ts';

/** Both of ironic-python-agent's; a file of the second outranks the first, within a folder the later name does. */
export const CONFIG_FOLDERS = ['/etc/ironic-python-agent', '/etc/ironic-python-agent.d'] as const;

/** The configuration files of this machine: `*.conf` of both folders, the weaker before the stronger. */
export async function readConfigFiles(files: SystemFiles): Promise<ConfigSource[]> {
  const sources: ConfigSource[] = [];
  for (const folder of CONFIG_FOLDERS) {
    const names = (await files.list(folder)).filter((name) => name.endsWith('.conf')).toSorted();
    for (const name of names) {
      const path = `${folder}/${name}`;
      const text = await files.read(path);
      if (text !== undefined) sources.push({ kind: 'file', path, text });
    }
  }
  return sources;
}
