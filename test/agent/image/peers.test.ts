import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { deliverImage } from '../../../agent/image/deliver.ts';
import { readImageInfo } from '../../../agent/image/request.ts';
import { systemFilter } from '../../../system/filter.ts';
import { openRegularFile } from '../../../agent/os/regular-file.ts';
import { fakeClock } from '../../fakes/clock.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { type ImageServer, type ServerBehaviour, startImageServer } from '../../fakes/image-server.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { deliver, sha256 } from './delivery.ts';
import { OPTIONS } from './downloading.ts';

const MIB = 1024 ** 2;
const image = makeGuest(8 * MIB, 21);
const checksum = sha256(image);

let disk: DiskFile;
let server: ImageServer | undefined;
let odd: Server | undefined;
beforeEach(async () => {
  disk = await makeDiskFile(10 * MIB);
});
afterEach(async () => {
  await server?.close();
  odd?.closeAllConnections();
  odd?.close();
  await disk.close();
});

async function serve(behave: (index: number) => Partial<ServerBehaviour>): Promise<string> {
  server = await startImageServer((index) => ({ content: image, etag: '"one"', ...behave(index) }));
  return server.url;
}

async function failureOf(work: Promise<unknown>): Promise<AgentError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AgentError);
  return error as AgentError;
}

const isWritten = async () => (await disk.content()).subarray(0, image.length).equals(image);
const isCleared = async () => {
  const content = await disk.content();
  const zeros = Buffer.alloc(MIB);
  return content.subarray(0, MIB).equals(zeros) && content.subarray(-MIB).equals(zeros);
};

describe('defects of peers that this has not (peers.md 4)', () => {
  test('image2disk: a download that ends at half is a success', async () => {
    const half = { content: image.subarray(0, image.length / 2), withoutRange: true, withoutLength: true };
    const error = await failureOf(
      deliver(await serve((index) => (index === 0 ? {} : half)), disk.device, { checksum }),
    );
    expect(error.type).toBe('ImageDownloadError');
    expect(await isCleared()).toBe(true);
  });

  test('curtin: a server that fails in the middle of the body is not seen, because the last program of the pipe counts', async () => {
    odd = createServer((_, response) => {
      response.writeHead(200, { 'content-length': image.length });
      response.write(image.subarray(0, 3 * MIB));
      response.write('HTTP/1.1 500 Internal Server Error\r\n\r\n', () => setTimeout(() => response.destroy(), 20));
    });
    await new Promise<void>((resolve) => odd?.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(odd.address() as AddressInfo).port}/disk.raw`;
    const error = await failureOf(deliver(url, disk.device, { checksum }));
    expect(error.details).toContain('3 times');
    expect(await isCleared()).toBe(true);
  });

  test('qemuimg2disk: what fails at the very end is swallowed', async () => {
    const { device } = disk;
    let isAllWritten = false;
    const write = async (buffer: Uint8Array, position: number) => {
      await device.write(buffer, position);
      // The first sectors are the last thing that is written.
      isAllWritten ||= position === 0 && buffer.length > 0;
    };
    const flush = async () => {
      if (isAllWritten) throw new AgentError('BlockDeviceError', 'cannot flush the disk: EIO');
    };
    const url = await serve(() => ({}));
    const error = await failureOf(deliver(url, { ...device, write, flush }, { checksum }));
    expect(error.details).toContain('cannot flush the disk: EIO');
  });

  test('ironic-python-agent: a wrong digest leaves a partition table, and a drop begins from byte 0', async () => {
    const wrong = await failureOf(deliver(await serve(() => ({})), disk.device, { checksum: '0'.repeat(64) }));
    expect(wrong.type).toBe('ImageChecksumError');
    expect(await isCleared()).toBe(true);
    await server?.close();
    await deliver(await serve((index) => (index === 1 ? { dropAfter: 6 * MIB } : {})), disk.device, { checksum });
    expect(await isWritten()).toBe(true);
    expect(server?.requests.at(-1)).toContain(`bytes=${6 * MIB}-`);
  });

  test('ironic-python-agent: a connection that fails ends the command without the next URL being tried', async () => {
    const urls = ['http://127.0.0.1:1/disk.raw', await serve(() => ({}))];
    await deliver(urls, disk.device, { checksum });
    expect(await isWritten()).toBe(true);
  });

  test('ironic-python-agent: 404 is asked for ten times', async () => {
    await failureOf(deliver(await serve(() => ({ status: 404 })), disk.device, { checksum }, { retries: 9 }));
    expect(server?.requests).toHaveLength(1);
  });

  test('CDI: nginx’ 416, and proxies without Range', async () => {
    await deliver(await serve((index) => (index === 0 ? { status: 416 } : { withoutRange: true })), disk.device, {
      checksum,
    });
    expect(await isWritten()).toBe(true);
    expect(server?.requests).toHaveLength(2);
  });
});

test('a trickle that never stalls is ended by the limit for all of it, and the disk does not boot', async () => {
  odd = createServer((_, response) => {
    response.writeHead(200, { 'content-length': image.length });
    response.write(image.subarray(0, 2 * MIB));
    const drip = setInterval(() => response.write(image.subarray(0, 100)), 20);
    response.on('close', () => clearInterval(drip));
  });
  await new Promise<void>((resolve) => odd?.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(odd.address() as AddressInfo).port}/disk.raw`;
  const error = await failureOf(
    deliverImage({
      request: readImageInfo({ id: 'x', urls: [url, url], checksum }, false),
      options: { http: { ...OPTIONS, timeoutMs: 300 }, isMd5Allowed: false, maxDurationMs: 1500 },
      os: { clock: fakeClock(), openFile: openRegularFile, filter: systemFilter },
      device: disk.device,
      wipe: async () => undefined,
      progress: () => undefined,
      signal: new AbortController().signal,
    }),
  );
  expect(error.type).toBe('ImageDownloadTimeoutError');
  expect(error.details).toContain('within 1.5 s');
  expect(await isCleared()).toBe(true);
});
