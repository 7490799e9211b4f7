import { createConnection, type Socket } from 'node:net';

import { labFailure } from './failures.ts';

/** An event of the QEMU machine protocol: RESET, SHUTDOWN, STOP... */
export type QmpEvent = { event: string; data?: Record<string, unknown> };

type Reply = {
  return?: unknown;
  error?: { class: string; desc: string };
  event?: string;
  data?: Record<string, unknown>;
};
type Pending = { resolve: (value: unknown) => void; reject: (error: Error) => void };

/** Cuts a stream of bytes into lines of JSON. */
export function createLineParser(onObject: (value: unknown) => void): (chunk: string) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') onObject(JSON.parse(line));
  };
}

export type Qmp = {
  /** @throws Failure `MONITOR` when QEMU refuses, or has gone */
  execute: (command: string, args?: Record<string, unknown>) => Promise<unknown>;
  close: () => void;
};

function connect(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path, () => resolve(socket));
    socket.once('error', reject);
  });
}

/**
 * Connects to QEMU's monitor (QMP over a Unix socket). Commands are answered in the order in which they were sent.
 * @throws the socket's error while QEMU does not listen yet
 */
export async function connectQmp(path: string, onEvent: (event: QmpEvent) => void): Promise<Qmp> {
  const socket = await connect(path);
  const waiting: Pending[] = [];
  const parse = createLineParser((value) => {
    const reply = value as Reply;
    if (reply.event !== undefined) {
      onEvent({ event: reply.event, ...(reply.data && { data: reply.data }) });
      return;
    }
    if (reply.error) waiting.shift()?.reject(labFailure('MONITOR', reply.error.desc));
    else if ('return' in reply) waiting.shift()?.resolve(reply.return);
  });
  socket.setEncoding('utf8');
  socket.on('data', (chunk) => parse(String(chunk)));
  const fail = () => {
    for (const pending of waiting.splice(0)) pending.reject(labFailure('MONITOR', 'QEMU has gone'));
  };
  socket.on('error', fail);
  socket.on('close', fail);
  const execute: Qmp['execute'] = (command, args) =>
    new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(labFailure('MONITOR', 'QEMU has gone'));
      waiting.push({ resolve, reject });
      socket.write(`${JSON.stringify({ execute: command, ...(args && { arguments: args }) })}\n`);
    });
  await execute('qmp_capabilities');
  return { execute, close: () => socket.destroy() };
}
