import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';

import { type CommandResult, CommandResultSchema } from './api/command.ts';
import type { Certificate } from './ironic/certificate.ts';
import type { SystemFiles } from './os/door.ts';

/**
 * What must stay the same from the first lookup to the next boot, so that an agent that died and was started again is still the
 * one that Ironic knows: Ironic gives a token out once and refuses a changed certificate or address.
 */
const StateSchema = Type.Object({
  token: Type.Optional(Type.String()),
  /** The inventory has been handed in and taken. */
  inspected: Type.Optional(Type.Boolean()),
  /** The network was taken down for good. */
  locked: Type.Optional(Type.Boolean()),
  nodeUuid: Type.Optional(Type.String()),
  callbackUrl: Type.Optional(Type.String()),
  /** Settings that a server changed, for whoever asks this machine what it goes by. */
  overrides: Type.Optional(Type.Record(Type.String(), Type.Object({ value: Type.Unknown(), by: Type.String() }))),
});
export type AgentState = Static<typeof StateSchema>;

export const STATE_DIRECTORY = '/run/ingot-agent';
const SECRET_MODE = 0o600;

export type StateStore = {
  state: () => AgentState;
  update: (change: AgentState) => Promise<void>;
  certificate: () => Promise<Certificate | undefined>;
  saveCertificate: (certificate: Certificate) => Promise<void>;
  history: () => Promise<CommandResult[]>;
  saveHistory: (history: readonly CommandResult[]) => Promise<void>;
};

function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined; // of a disk that was full: as good as absent
  }
}

/** Opens the state of this boot; what is missing or damaged is left out. */
export async function openState(files: SystemFiles, directory: string): Promise<StateStore> {
  await files.makeDirectory(directory, 0o700);
  const path = (name: string): string => join(directory, name);
  const saved = parse(await files.read(path('state.json')));
  let state: AgentState = Value.Check(StateSchema, saved) ? saved : {};
  return {
    state: () => state,
    update: async (change) => {
      state = { ...state, ...change };
      await files.write(path('state.json'), `${JSON.stringify(state)}\n`, SECRET_MODE);
    },
    certificate: async () => {
      const text = (await files.read(path('agent.pem'))) ?? '';
      const [, certificate, key] = /^(-----BEGIN CERT.*?-----END CERTIFICATE-----\n)(.*)$/s.exec(text) ?? [];
      return certificate === undefined || !key ? undefined : { certificate, key };
    },
    // One file: a certificate without its key would be worse than none.
    saveCertificate: ({ certificate, key }) => files.write(path('agent.pem'), certificate + key, SECRET_MODE),
    history: async () => {
      const history = parse(await files.read(path('commands.json')));
      return Array.isArray(history)
        ? history.filter((result): result is CommandResult => Value.Check(CommandResultSchema, result))
        : [];
    },
    saveHistory: (history) => files.write(path('commands.json'), JSON.stringify(history), SECRET_MODE),
  };
}
