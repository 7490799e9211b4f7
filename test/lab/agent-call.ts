import { request } from 'node:https';

import type { Heartbeat } from '../../agent/api/ironic.ts';

/**
 * Calls an agent as its conductor does: with the token, and trusting nothing but the certificate of its heartbeat.
 * @param path with its query, if it has one
 * @param body makes it a POST
 * @returns what was answered, whatever its status
 */
export function callAgent(beat: Heartbeat, path: string, body?: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const url = `${beat.callback_url}${path}${path.includes('?') ? '&' : '?'}agent_token=${beat.agent_token}`;
    const sent = request(url, { method: body ? 'POST' : 'GET', ca: beat.agent_verify_ca, agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('end', () => resolve(JSON.parse(text)));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
