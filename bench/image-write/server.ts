import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';

/**
 * A process of its own, so that its processor time is nobody's: `node server.ts FOLDER` serves the files of a folder on the loopback, with
 * Range, and says its address.
 */
const [folder = '.'] = process.argv.slice(2);

const PIECE_BYTES = 2 ** 20;

/** By two buffers: what the server spends is missed by whoever is measured on the same machine. */
async function send(file: FileHandle, response: ServerResponse, start: number, end: number): Promise<void> {
  const buffers = [Buffer.allocUnsafeSlow(PIECE_BYTES), Buffer.allocUnsafeSlow(PIECE_BYTES)];
  // What is written as a connection ends never calls back, and would keep the file open until the garbage is collected.
  const closed = new Promise<void>((resolve) => response.once('close', resolve));
  let sent = Promise.resolve();
  for (let position = start; position < end && !response.destroyed;) {
    const buffer = buffers.shift() ?? Buffer.alloc(PIECE_BYTES);
    const { bytesRead } = await file.read(buffer, 0, Math.min(PIECE_BYTES, end - position), position);
    if (bytesRead === 0) break;
    position += bytesRead;
    await Promise.race([sent, closed]);
    sent = new Promise((resolve) => response.write(buffer.subarray(0, bytesRead), () => resolve()));
    buffers.push(buffer);
  }
  await Promise.race([sent, closed]);
  response.end();
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = join(folder, basename(new URL(request.url ?? '/', 'http://localhost').pathname));
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = range ? Number(range[1]) : 0;
    const end = range?.[2] ? Math.min(Number(range[2]) + 1, size) : size;
    response.writeHead(range ? 206 : 200, {
      'content-length': end - start,
      'accept-ranges': 'bytes',
      etag: `"${size}"`,
      ...(range && { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
    });
    await send(file, response, start, end);
  } finally {
    await file.close();
  }
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => (response.headersSent ? response.destroy() : response.writeHead(404).end()));
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
// Ends with whoever started it.
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
