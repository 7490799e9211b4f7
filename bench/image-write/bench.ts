import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';

import { reasonOf } from '../../system/failure.ts';
import { benchFailure } from '../failures.ts';
import { watchLoad } from '../load.ts';
import type { BenchBasics } from '../report-command.ts';
import { type AgentStart, prepareAgent } from './agent.ts';
import { findBmaptool } from './bmaptool.ts';
import { type Contender, EXTRA_STAGES, OWN, PEERS, STAGES } from './contenders.ts';
import {
  type BenchImage,
  type BenchImages,
  freshDevice,
  type ImageName,
  prepareImages,
  writtenBytes,
} from './images.ts';
import { measure } from '../measure.ts';
import { type ImageResult, makeReport, type Report, type RunResult, type Series } from './report.ts';

export type ImageWriteOptions = BenchBasics & {
  sizeBytes: number;
  /** Names of images and contenders; all of each where none of it is named. */
  only: readonly string[];
};

/** A disk is larger than the image for it, so that what lies behind the image has to be right, too. */
const SPARE_BYTES = 64 * 2 ** 20;
/** A tmpfs that every Debian has. */
const MEMORY_ROOT = '/dev/shm';

type Lane = { contender: Contender; series: Series };
type Context = ImageWriteOptions & {
  images: BenchImages;
  /** Of this run alone. */
  work: string;
  memory: string;
  url: string;
  bmaptool: readonly string[] | undefined;
  agent: AgentStart & { path: string };
};

async function startServer(
  { host, signal }: ImageWriteOptions,
  folder: string,
  cleanup: AsyncDisposableStack,
): Promise<string> {
  const child = host.start(process.execPath, ['bench/image-write/server.ts', folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  cleanup.defer(() => void child.kill());
  const address = await new Promise<string>((resolve, reject) => {
    child.stdout?.once('data', (text: Buffer) => resolve(text.toString().trim()));
    child.once('exit', () => reject(benchFailure('NO_SERVER', 'it ended')));
    child.once('error', reject);
  });
  signal.throwIfAborted();
  return address;
}

/** Compares the device with the disk, byte for byte, once for each contender and image: a fast writer of wrong bytes is none. */
async function whatIsWrong({ host, images, signal }: Context, target: string): Promise<string | undefined> {
  const args = ['--bytes', String(images.virtualBytes), images.raw, target];
  return host.run('cmp', args, { signal }).then(
    () => undefined,
    (error: unknown) => {
      signal.throwIfAborted();
      return `what it wrote is not the disk: ${reasonOf(error)}`;
    },
  );
}

async function runOnce(
  context: Context,
  contender: Contender,
  image: BenchImage,
  isFirst: boolean,
): Promise<RunResult> {
  const { host, images, work, memory, url, bmaptool, agent, signal } = context;
  const target = join(work, 'device');
  await freshDevice(target, images.virtualBytes + SPARE_BYTES);
  // What the one before left to be written back is not to be paid for by this one.
  await host.run('sync', ['--file-system', work], { signal });
  const env = {
    ...(contender === OWN && agent.env),
    NODE: process.execPath,
    NODE_OPTS: agent.nodeOptions,
    AGENT: agent.path,
    URL: `${url}/${image.file}`,
    FILE: join(images.folder, image.file),
    DATA: join(images.folder, 'disk.qcow2'),
    BMAP: images.bmap,
    BMAPTOOL: bmaptool?.join(' ') ?? 'bmaptool',
    SHA256: image.sha256,
    VIRTUAL: String(images.virtualBytes),
    TARGET: target,
    WORK: work,
    MEMORY: memory,
  };
  const { cost, why } = await measure(host.start, contender.commands[image.name] ?? 'false', env, signal);
  await rm(join(memory, 'image'), { force: true });
  if (cost === undefined) return { why: why ?? 'unknown' };
  const wrong = contender.writesDisk && isFirst ? await whatIsWrong(context, target) : undefined;
  return {
    ...cost,
    ...(contender.writesDisk && { writtenBytes: await writtenBytes(target) }),
    ...(contender.usesMemoryFile && { memoryFileBytes: image.fileBytes }),
    ...(wrong !== undefined && { why: wrong }),
  };
}

function chosen<T extends { name: string }>(all: readonly T[], only: readonly string[]): T[] {
  const named = all.filter(({ name }) => only.includes(name));
  return named.length === 0 ? [...all] : named;
}

function lanesOf({ only, bmaptool }: Context, image: ImageName): Lane[] {
  const writers = chosen([OWN, ...PEERS], only).filter(({ name }) => name !== 'bmaptool' || bmaptool !== undefined);
  const kindOf = (one: Contender) => (one === OWN ? ('own' as const) : ('peer' as const));
  const lane = (contender: Contender, kind: Series['kind']): Lane => ({
    contender,
    series: { name: contender.name, kind, runs: [] },
  });
  return [
    ...writers.map((one) => lane(one, kindOf(one))),
    ...STAGES.map((one) => lane(one, 'stage')),
    ...EXTRA_STAGES.map((one) => lane(one, 'extra')),
  ].filter(({ contender }) => contender.commands[image] !== undefined);
}

async function versionsOf({ host, signal }: Context): Promise<Record<string, string>> {
  const commands = {
    curl: 'curl --version',
    'qemu-img': 'qemu-img --version',
    coreutils: 'dd --version',
    zstd: 'zstd --version',
  };
  const versions: Record<string, string> = { node: process.version };
  for (const [name, command] of Object.entries(commands)) {
    const [file = '', ...args] = command.split(' ');
    const { stdout } = await host.run(file, args, { signal });
    versions[name] = /\d+\.\d+(?:\.\d+)?/.exec(stdout)?.[0] ?? 'unknown';
  }
  return versions;
}

async function bmaptoolOrNone(options: ImageWriteOptions): Promise<string[] | undefined> {
  try {
    return await findBmaptool(options);
  } catch (error) {
    options.signal.throwIfAborted();
    options.progress.log(`without bmaptool: ${reasonOf(error)}`);
    return undefined;
  }
}

/**
 * Writes each image by Ingot and by its peers in turn, and the stages that no writer can be faster than.
 * @throws the signal's reason; whatever was started has ended and what was made for this run is gone
 */
export async function benchImageWrite(options: ImageWriteOptions): Promise<Report> {
  const { host, progress, signal, folder, rounds, sizeBytes, only } = options;
  await using cleanup = new AsyncDisposableStack();
  const isWanted = chosen([OWN, ...PEERS], only).some(({ name }) => name === 'bmaptool');
  const bmaptool = isWanted ? await bmaptoolOrNone(options) : undefined;
  const images = await prepareImages(join(folder, 'images'), {
    sizeBytes,
    run: host.run,
    bmaptool,
    signal,
    say: (what) => progress.update({ phase: 'make images', message: what }),
  });
  const temporary = async (root: string) => {
    await mkdir(root, { recursive: true });
    const path = await mkdtemp(join(root, 'ingot-bench-'));
    cleanup.defer(() => rm(path, { recursive: true, force: true }));
    return path;
  };
  const isTmpfs = await stat(MEMORY_ROOT).then(
    () => true,
    () => false,
  );
  const work = await temporary(join(folder, 'work'));
  const memory = isTmpfs ? await temporary(MEMORY_ROOT) : work;
  const url = await startServer(options, images.folder, cleanup);
  const agent = await prepareAgent(join(work, 'agent'));
  const context: Context = { ...options, images, work, memory, url, bmaptool, agent };
  const rows = chosen(images.images, only).map((image) => ({ image, lanes: lanesOf(context, image.name) }));
  const loadBefore = loadavg()[0] ?? 0;
  const endLoad = watchLoad();
  cleanup.defer(() => void endLoad());
  for (let round = 0; round < rounds; round += 1)
    for (const { image, lanes } of rows)
      // One way round and then the other: what else the machine does then favours nobody.
      for (const { contender, series } of round % 2 === 0 ? lanes : lanes.toReversed()) {
        progress.update({ phase: `round ${round + 1} of ${rounds}, ${image.name}`, message: contender.name });
        series.runs.push(await runOnce(context, contender, image, round === 0));
      }
  progress.finish();
  const results = rows.map(({ image, lanes }): ImageResult => ({
    image: image.name,
    fileBytes: image.fileBytes,
    series: lanes.map(({ series }) => series),
  }));
  return makeReport(
    {
      date: new Date().toISOString(),
      processors: `${cpus().length} processors (${cpus()[0]?.model ?? 'unknown'})`,
      loadBefore,
      loadMean: endLoad(),
      rounds,
      virtualBytes: images.virtualBytes,
      allocatedBytes: images.allocatedBytes,
      versions: await versionsOf(context),
    },
    results,
  );
}
