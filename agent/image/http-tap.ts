import type { OnReadOpts, Socket } from 'node:net';

/** Of each connection for a long body. */
const RING_BYTES = 1024 ** 2;
/** Reading stops when no more than this is free. */
const STOP_BYTES = 256 * 1024;
/**
 * What a single read leaves free. Node asks for the next buffer at once, also when reading stops, and TLS has up to 64 KiB of plain text
 * under way then.
 */
const SPARE_BYTES = 128 * 1024;
/** Shorter bodies are not worth it. */
const LEAST_BODY_BYTES = 256 * 1024;
const MOST_HEAD_BYTES = 64 * 1024;
const HEAD_END = '\r\n\r\n';

/**
 * How many bytes follow the head of an answer, where nothing but these follows it (RFC 9112 6.3, case 6).
 * @returns undefined for answers that are left to undici: other status codes, codings, no length or two of them
 */
export function plainBodyBytes(head: string): number | undefined {
  if (!/^HTTP\/1\.1 20[06] /.test(head) || /^transfer-encoding[ \t]*:/im.test(head)) return undefined;
  const [length, ...more] = [...head.matchAll(/^content-length:[ \t]*(\d{1,15})[ \t]*$/gim)];
  return length && more.length === 0 ? Number(length[1]) : undefined;
}

/**
 * A connection whose long body goes by undici: undici sends the request and reads the head, with all that belongs to it (TLS, checks of
 * the syntax, errors); the bytes of the body are read into one piece of memory that goes round. Node's streams make a new buffer for each
 * 64 KiB, and collecting those costs more than everything else that is done with a body.
 */
export type Tap = {
  /** For `net.connect` or `tls.connect`. */
  onread: OnReadOpts;
  /** Before anything is sent. */
  attach: (socket: Socket) => void;
  /** Whether the body of the answer, of which undici has got the head, comes from here; undici gets nothing of it then. */
  hasBody: (lengthBytes: number) => boolean;
  /** The body. A chunk is valid until the next one is asked for. */
  body: () => AsyncGenerator<Uint8Array>;
  /** The connection is broken: what came before is still read. */
  fail: (error: unknown) => void;
};

type State = {
  socket: Socket | undefined;
  /** What came of the head; undefined when it was seen to its end, or is left to undici. */
  head: string | undefined;
  /** Of the body, once it comes from here. */
  lengthBytes: number | undefined;
  /** Bytes of the body that are in the ring or were, and those that nobody needs any more. */
  written: number;
  read: number;
  failure: { error: unknown } | undefined;
  wake: () => void;
};

/** Hands bytes to undici as Node would. @returns false to stop reading until undici asks for more */
function pass(state: State, bytes: Uint8Array): boolean {
  return state.socket?.push(Buffer.from(bytes)) ?? true;
}

/** @returns where the body begins in `bytes`; undefined when there is none yet, or all is undici's */
function findBody(state: State, bytes: Buffer): number | undefined {
  const before = state.head?.length ?? 0;
  let head = state.head + bytes.toString('latin1');
  let taken = 0;
  for (let end = head.indexOf(HEAD_END); end >= 0; end = head.indexOf(HEAD_END)) {
    const one = head.slice(0, end + HEAD_END.length);
    taken += one.length;
    head = head.slice(one.length);
    // 100 and 103 come before the answer.
    if (/^HTTP\/1\.1 1(?!01)\d\d /.test(one)) continue;
    state.head = undefined;
    const lengthBytes = plainBodyBytes(one);
    if (lengthBytes === undefined || lengthBytes < LEAST_BODY_BYTES) return undefined;
    state.lengthBytes = lengthBytes;
    return taken - before;
  }
  state.head = head.length > MOST_HEAD_BYTES ? undefined : head;
  return undefined;
}

export function createTap(): Tap {
  const ring = Buffer.allocUnsafeSlow(RING_BYTES);
  const state: State = {
    socket: undefined,
    head: '',
    lengthBytes: undefined,
    written: 0,
    read: 0,
    failure: undefined,
    wake: () => undefined,
  };
  const free = () => RING_BYTES - (state.written - state.read);
  /** Where the next bytes go: up to the ring's end, or to what is still read. */
  const room = () => {
    const at = state.written % RING_BYTES;
    const most = free() > STOP_BYTES ? free() - SPARE_BYTES : free();
    return ring.subarray(at, at + Math.min(RING_BYTES - at, most));
  };
  const takeBody = (count: number): boolean => {
    state.written += count;
    state.wake();
    return free() > STOP_BYTES;
  };
  const take = (count: number, buffer: Uint8Array): boolean => {
    if (state.lengthBytes !== undefined) return takeBody(count);
    const bytes = Buffer.from(buffer.buffer, buffer.byteOffset, count);
    const body = state.head === undefined ? undefined : findBody(state, bytes);
    if (body === undefined) return pass(state, bytes);
    pass(state, bytes.subarray(0, body));
    ring.copyWithin(0, bytes.byteOffset - ring.byteOffset + body, bytes.byteOffset - ring.byteOffset + count);
    return takeBody(count - body);
  };
  async function* body(): AsyncGenerator<Uint8Array> {
    const lengthBytes = state.lengthBytes ?? 0;
    while (state.read < lengthBytes) {
      if (state.written === state.read) {
        if (state.failure) throw state.failure.error;
        await new Promise<void>((resolve) => (state.wake = resolve));
        continue;
      }
      const at = state.read % RING_BYTES;
      const count = Math.min(state.written - state.read, RING_BYTES - at, lengthBytes - state.read);
      yield ring.subarray(at, at + count);
      state.read += count;
      // Reading begins again where it stopped; nothing comes of it here.
      if (free() > STOP_BYTES) state.socket?.read(0);
    }
  }
  return {
    onread: {
      buffer: () => {
        const bytes = room();
        // Node takes no buffer without room; what would be written to this one ends the connection.
        return bytes.length > 0 ? bytes : Buffer.alloc(1);
      },
      callback: (count, buffer) => {
        if (buffer.buffer === ring.buffer) return take(count, buffer);
        state.socket?.destroy(new Error('it sent more than was read'));
        return false;
      },
    },
    attach: (socket) => {
      state.socket = socket;
    },
    hasBody: (lengthBytes) => state.lengthBytes !== undefined && state.lengthBytes === lengthBytes,
    body,
    fail: (error) => {
      state.failure ??= { error };
      state.wake();
    },
  };
}
