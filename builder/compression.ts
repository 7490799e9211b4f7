import { once } from 'node:events';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';

import { usageFailure } from '../cli/options.ts';
import { builderFailure } from './failures.ts';
import type { BuilderHost } from './host/door.ts';
import { toolCommand } from './sysroot.ts';

/** How the members of an initramfs are compressed. */
export type Compression = {
  /** `zstd:19`, `gzip`; what `--compress` takes and the manifest says. */
  name: string;
  /** The option of the kernel's configuration without which it cannot unpack this; none for no compression. */
  kernelOption?: string;
  /** Packages of the tool tree that this needs. */
  packages: readonly string[];
  /** What decides the bytes besides what goes in. */
  key: (tools: string) => readonly (string | number)[];
  compress: (
    host: BuilderHost,
    tools: string,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ) => AsyncIterable<Uint8Array>;
};

/** zstd's level for ramdisks that are kept; its window at this level, 8 MiB, is what the kernel needs on top while it unpacks. */
export const RELEASE_LEVEL = 19;
const HIGHEST_LEVEL = 22;

function zstd(level: number): Compression {
  return {
    name: `zstd:${level}`,
    kernelOption: 'CONFIG_RD_ZSTD',
    packages: [],
    key: () => [level],
    compress: (_host, _tools, source) =>
      Readable.from(source, { objectMode: true }).compose(
        createZstdCompress({
          params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
        }),
      ),
  };
}

/** A filter of the tool tree. Not zlib of Node: its bytes depend on what the processor can do. */
function program(
  name: string,
  file: string,
  args: readonly string[],
  row: Pick<Compression, 'kernelOption' | 'packages'>,
): Compression {
  return {
    name,
    ...row,
    key: (tools) => [name, ...args, basename(tools)],
    async *compress(host, tools, source, signal) {
      const [loader, ...words] = toolCommand(tools, file);
      const child = host.start(loader, [...words, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
      const stop = () => child.kill('SIGKILL');
      signal.addEventListener('abort', stop, { once: true });
      let complaint = '';
      child.stderr?.on('data', (piece: Buffer) => (complaint += piece.toString()));
      const closed = once(child, 'close') as Promise<[number | null]>;
      closed.catch(() => undefined); // awaited below, after its output
      try {
        if (child.stdin === null || child.stdout === null) throw new TypeError(`${name} was started without pipes`);
        const fed = pipeline(source, child.stdin);
        fed.catch(stop);
        yield* child.stdout as AsyncIterable<Uint8Array>;
        const [code] = await closed;
        if (code !== 0) throw builderFailure('CANNOT_PACK', `${name} ended with ${code}: ${complaint.trim()}`);
        await fed;
      } finally {
        stop();
        signal.removeEventListener('abort', stop);
      }
    },
  };
}

const PROGRAMS: readonly Compression[] = [
  program('gzip', '/usr/bin/gzip', ['-9', '-n', '-c'], { kernelOption: 'CONFIG_RD_GZIP', packages: ['gzip'] }),
  // The kernel's decoder knows CRC32 and no SHA-256, and filters for machine code only where they were configured
  // (Documentation/staging/xz.rst); one thread, because several would make several blocks.
  program('xz', '/usr/bin/xz', ['-6', '--check=crc32', '--threads=1', '--format=xz', '-c'], {
    kernelOption: 'CONFIG_RD_XZ',
    packages: ['xz-utils'],
  }),
  {
    name: 'none',
    packages: [],
    key: () => ['none'],
    compress: (_host, _tools, source) => source,
  },
];

/** What `--compress` takes, for its help. */
export const COMPRESSIONS = ['zstd', 'zstd:LEVEL', ...PROGRAMS.map((one) => one.name)].join(', ');

/**
 * @param text `zstd`, `zstd:3`, `gzip`, `xz` or `none`; zstd at its release level unless said
 * @throws Failure with exit code 2
 */
export function parseCompression(text = 'zstd'): Compression {
  const found = PROGRAMS.find((one) => one.name === text);
  if (found !== undefined) return found;
  const level = /^zstd(?::(\d+))?$/.exec(text)?.slice(1);
  const number = Number(level?.[0] ?? RELEASE_LEVEL);
  if (level === undefined || number < 1 || number > HIGHEST_LEVEL)
    throw usageFailure(
      `cannot use --compress ${text}`,
      `one of ${COMPRESSIONS}, with a level from 1 to ${HIGHEST_LEVEL}`,
    );
  return zstd(number);
}

/**
 * Checks that a kernel unpacks what it is going to get.
 * @param configuration the text of its `config` file; without one nothing is known
 * @returns whether that is known to be so
 * @throws Failure `CANNOT_PACK` that names what it can unpack
 */
export function checkUnpacks(compression: Compression, configuration: string | undefined, version: string): boolean {
  const { kernelOption } = compression;
  if (kernelOption === undefined) return true;
  if (configuration === undefined) return false;
  const isSet = (option: string) => configuration.split('\n').includes(`${option}=y`);
  if (isSet(kernelOption)) return true;
  const others = [zstd(RELEASE_LEVEL), ...PROGRAMS].filter((one) => !one.kernelOption || isSet(one.kernelOption));
  throw builderFailure(
    'CANNOT_PACK',
    `Linux ${version} cannot unpack ${compression.name}: it was made without ${kernelOption}`,
    { hint: `--compress ${others.map((one) => one.name).join(', or --compress ')}` },
  );
}
