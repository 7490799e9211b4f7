import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';

import { type CommandResult, CommandResultSchema } from './api/command.ts';
import { AgentError } from './api/errors.ts';
import type { Certificate } from './ironic/certificate.ts';
import type { SystemFiles } from './os/door.ts';
import { reasonOf } from '../system/failure.ts';

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
  /** The change counts even when it cannot be written: an agent that dies of a full /run would be locked out as well. */
  update: (change: AgentState) => Promise<void>;
  /** Whether an answer that may have held the token was lost: its reader died, or the connection broke. */
  tokenMayBeLost: () => boolean;
  /** To be called before each lookup. */
  asking: () => Promise<void>;
  /** After it. @param outcome `taken`: its token is in the state; `none`: no token was in it; `lost`: nobody knows */
  asked: (outcome: 'taken' | 'none' | 'lost') => Promise<void>;
  certificate: () => Promise<Certificate | undefined>;
  saveCertificate: (certificate: Certificate) => Promise<void>;
  /** What an earlier process of this boot kept. Where that was lost, a FAILED entry says so. */
  history: () => Promise<CommandResult[]>;
  /** @throws when it cannot be written; the next process then knows that its history is lost */
  saveHistory: (history: readonly CommandResult[]) => Promise<void>;
};

function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined; // of a disk that was full: as good as absent
  }
}

/**
 * Stands for a history that is gone. Ironic takes an agent with an empty one for freshly booted and goes on with the next step,
 * as if the one that died had been done; with this it waits, until its own time-out fails the node.
 */
function lostHistory(): CommandResult {
  const why = 'the agent was started again and its history was lost: what it was told before may be unfinished';
  return {
    id: randomUUID(),
    command_name: 'lost_history',
    command_status: 'FAILED',
    command_error: new AgentError('CommandExecutionError', why).toCommandError(),
    command_result: null,
  };
}

/** The history as it was written, undefined when it was not written whole. */
function readHistory(text: string | undefined): CommandResult[] | undefined {
  const history = parse(text);
  const isWhole = Array.isArray(history) && history.every((result) => Value.Check(CommandResultSchema, result));
  return isWhole ? history : undefined;
}

/**
 * Opens the state of this boot; what is missing or damaged is left out.
 * @param log told what cannot be written
 */
export async function openState(
  files: SystemFiles,
  directory: string,
  log: (message: string) => void = () => undefined,
): Promise<StateStore> {
  const path = (name: string): string => join(directory, name);
  // A folder, not a field of the state: it can be made where there is no room for another byte.
  const askedPath = path('asked');
  await files.makeDirectory(directory, 0o700);
  for (const name of await files.list(directory)) {
    // Half-written files of a process that was killed.
    if (/^\..*\.tmp$/.test(name)) await files.remove(path(name));
  }
  const saved = parse(await files.read(path('state.json')));
  let state: AgentState = Value.Check(StateSchema, saved) ? saved : {};
  let mayBeLost = await files.exists(askedPath);
  let isOpen = false;
  const store: StateStore = {
    state: () => state,
    update: async (change) => {
      state = { ...state, ...change };
      await files
        .write(path('state.json'), `${JSON.stringify(state)}\n`, SECRET_MODE)
        .catch((error: unknown) => log(`cannot keep the agent's state for its next process: ${reasonOf(error)}`));
    },
    tokenMayBeLost: () => mayBeLost,
    asking: async () => {
      if (isOpen) mayBeLost = true; // the last answer came, and could not be read
      isOpen = true;
      await files.makeDirectory(askedPath, 0o700).catch((error: unknown) => log(reasonOf(error)));
    },
    asked: async (outcome) => {
      isOpen = false;
      if (outcome === 'lost') mayBeLost = true;
      if (outcome === 'taken') mayBeLost = false;
      if (!mayBeLost) await files.remove(askedPath);
    },
    certificate: async () => {
      const text = (await files.read(path('agent.pem'))) ?? '';
      const [, certificate, key] = /^(-----BEGIN CERT.*?-----END CERTIFICATE-----\n)(.*)$/s.exec(text) ?? [];
      return certificate === undefined || !key ? undefined : { certificate, key };
    },
    // One file: a certificate without its key would be worse than none.
    saveCertificate: ({ certificate, key }) =>
      files
        .write(path('agent.pem'), certificate + key, SECRET_MODE)
        .catch((error: unknown) => log(`cannot keep the certificate for the next process: ${reasonOf(error)}`)),
    history: async () => readHistory(await files.read(path('commands.json'))) ?? [lostHistory()],
    saveHistory: async (history) => {
      try {
        await files.write(path('commands.json'), JSON.stringify(history), SECRET_MODE);
      } catch (error) {
        // An older one would pass for the whole: better none.
        await files.remove(path('commands.json'));
        throw error;
      }
    },
  };
  // Before Ironic knows this agent there can be no history; from then on, one that is not there was lost.
  const isFirst = state.callbackUrl === undefined && !(await files.exists(path('commands.json')));
  if (isFirst) await store.saveHistory([]).catch((error: unknown) => log(reasonOf(error)));
  return store;
}
