import { describeKey, showSetting } from './config/describe.ts';
import { applyMdns, type Overrides } from './config/overrides.ts';
import { findService, type MdnsOptions, type MdnsService } from './ironic/mdns.ts';
import { errorText } from './join.ts';
import type { AgentParts } from './parts.ts';

/** What a server changed is said, and kept for `ingot-agent config`. */
export async function tellOverrides({ console, store }: AgentParts, by: string, made: Overrides): Promise<void> {
  for (const problem of made.problems) console.log(`${by}: ${problem}`);
  const changes = Object.entries(made.changed);
  if (changes.length === 0) return;
  const lines = changes.map(([key, value]) => `${describeKey(key)}=${showSetting(key, value)}`);
  console.log(`${by} sets ${lines.join(', ')}`);
  const overrides = Object.fromEntries(changes.map(([key, value]) => [key, { value, by }]));
  await store.update({ overrides: { ...store.state().overrides, ...overrides } });
}

const RETRY_SECONDS = 10;

/** Asks again until there is an answer, where there is nothing to do without one. */
async function ask(parts: AgentParts, type: MdnsOptions['type'], insists: boolean): Promise<MdnsService | undefined> {
  const { config, console, os, signal } = parts;
  for (;;) {
    console.status({ state: `asking the network for ${type} (mDNS)` });
    try {
      return await findService({
        type,
        exchange: os.exchange,
        addresses: os.addresses,
        interfaces: config.mdnsInterfaces,
        attempts: config.mdnsLookupAttempts,
        clock: os.clock,
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      console.status({ error: errorText(error) });
      if (!insists) return undefined;
      await os.clock.sleep(RETRY_SECONDS * 1000, signal);
    }
  }
}

/** Puts the URLs that the network is to be asked for into the configuration, with the options that come with them. */
export async function discoverUrls(parts: AgentParts): Promise<void> {
  const { config, console } = parts;
  const isAsked = config.apiUrls.includes('mdns');
  const isAllowed = config.useMdns && config.apiUrls.length === 0 && config.inspectionCallbackUrls.length === 0;
  const wantsCallback = config.inspectionCallbackUrls.includes('mdns');
  const put = async (key: 'apiUrls' | 'inspectionCallbackUrls', service: MdnsService, path: string): Promise<void> => {
    config[key] = [`${service.url}${path}`];
    const { changed, problems } = applyMdns(config, service.options);
    await tellOverrides(parts, 'mDNS', { changed: { [key]: config[key], ...changed }, problems });
    console.status({ error: '' });
  };
  if (isAsked || isAllowed) {
    const api = await ask(parts, 'baremetal', isAsked);
    if (api !== undefined) await put('apiUrls', api, '');
  }
  if (wantsCallback && config.inspectionCallbackUrls.includes('mdns')) {
    const inspection = await ask(parts, 'baremetal-introspection', true);
    if (inspection !== undefined) await put('inspectionCallbackUrls', inspection, '/v1/continue');
  }
}
