import { fileURLToPath } from 'node:url';

import { defineCommand } from '../../cli/command.ts';
import { usageFailure } from '../../cli/options.ts';
import { type Program, showFailure } from '../../cli/program.ts';
import { createProgress, type Progress, progressMode } from '../../cli/progress.ts';
import { Failure, reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { wipeMetadata } from '../disk/erase-metadata.ts';
import { rereadPartitions, withDevice } from '../disk/partitions.ts';
import { type DeliveredImage, deliverImage, outlineDelivery } from '../image/deliver.ts';
import type { AgentOs } from '../os/door.ts';
import { systemOs } from '../os/system.ts';
import { EXIT_CODES, WRITE_IMAGE_DETAILS, WRITE_IMAGE_OPTIONS } from './options.ts';
import { isCleared } from './cleared.ts';
import { planText, writtenText } from './report.ts';
import { readRequest, type WriteImageValues } from './request.ts';
import { examineTarget, type Target } from './target.ts';

/** How far a job came, for the exit code. */
type Trace = { target?: Target; isTouched: boolean };
type Job = Pick<Program, 'stdout' | 'signal'> & {
  os: AgentOs;
  values: WriteImageValues;
  wanted: Awaited<ReturnType<typeof readRequest>>;
  device: string;
  progress: Progress;
  trace: Trace;
};

function refuse(target: Target): AgentError {
  return new AgentError(
    'ProtectedDeviceError',
    `cannot write to ${target.path}: ${target.refusals.join('; ')}; it was not touched`,
  );
}

/** Looks at the device, and whether it is what is to be read. */
async function examine({ os, wanted, device }: Job): Promise<Target> {
  const target = await examineTarget(os, device);
  for (const url of wanted.request.urls.filter((one) => URL.parse(one)?.protocol === 'file:'))
    if ((await os.files.resolve(fileURLToPath(url))) === target.path) target.refusals.push('it is the image itself');
  return target;
}

async function plan(job: Job): Promise<number> {
  const { os, values, wanted, stdout, signal } = job;
  const target = await examine(job);
  const image = await outlineDelivery({ ...wanted, os, signal, device: target });
  stdout.write(values.json ? `${JSON.stringify({ dry_run: true, target, image })}\n` : planText(target, image));
  if (target.refusals.length > 0) throw refuse(target);
  return EXIT_CODES.written;
}

/** The kernel's own view of the disk. What it does not take is said; the disk itself is as it has to be. */
async function reread({ os, progress }: Job, target: Target): Promise<void> {
  if (target.kind !== 'block device') return;
  const loop = target.path.replace(/^\/dev\//, '/sys/block/');
  if ((await os.files.read(`${loop}/loop/partscan`))?.trim() === '0') return;
  await rereadPartitions(os, target.path).catch((error: unknown) =>
    progress.log(`the kernel still goes by the old partition table: ${reasonOf(error)}`),
  );
}

async function write(job: Job): Promise<number> {
  const { os, wanted, progress, signal, trace, values, stdout } = job;
  const target = await examine(job);
  trace.target = target;
  if (target.refusals.length > 0) throw refuse(target);
  const start = os.clock.monotonic();
  let image: DeliveredImage;
  try {
    image = await withDevice(os, target.path, 'write', (device) =>
      deliverImage({
        ...wanted,
        os,
        device,
        wipe: async () => {
          trace.isTouched = true;
          await wipeMetadata(os, device);
        },
        progress: (update) => progress.update(update),
        signal,
      }),
    );
  } finally {
    progress.finish();
    if (trace.isTouched) await reread(job, target);
  }
  const seconds = (os.clock.monotonic() - start) / 1000;
  const { isVerified, ...written } = image;
  const result = { device: target.path, ...written, verified: isVerified, readBack: image.verified, seconds };
  stdout.write(values.json ? `${JSON.stringify(result)}\n` : writtenText(target, written, isVerified, seconds));
  return EXIT_CODES.written;
}

/** What went wrong as a failure of a program: its exit code says what became of the device. */
async function explain(error: unknown, { os, trace, signal }: Job): Promise<unknown> {
  if (!(error instanceof AgentError) && !(error instanceof Failure)) return error;
  const message = error instanceof AgentError ? error.details : error.message;
  const hint = error instanceof Failure ? error.hint : undefined;
  if (signal.aborted && signal.reason instanceof Failure) {
    const { exitCode, code } = signal.reason;
    const untouched = trace.isTouched ? '' : '; the device was not touched';
    return new Failure(code, error === signal.reason ? message + untouched : message, { exitCode });
  }
  const code = error instanceof AgentError ? error.type : error.code;
  if (error instanceof Failure && error.exitCode === EXIT_CODES.usage) return error;
  const exitCode = !trace.isTouched
    ? EXIT_CODES.refused
    : (await isCleared(os, trace.target?.path))
      ? EXIT_CODES.cleared
      : EXIT_CODES.notCleared;
  return new Failure(code, message, { hint, exitCode, cause: error });
}

/** `ingot-agent write-image`: writes an image on any Linux machine, without a conductor. */
export const writeImageCommand = defineCommand({
  summary: 'Writes an image from a web server to a disk, in one pass, verified.',
  usage: 'URL... DEVICE --checksum [ALGORITHM:]HEX [options]',
  details: WRITE_IMAGE_DETAILS,
  options: WRITE_IMAGE_OPTIONS,
  run: async ({ stdout, stderr, signal }, values, positionals) => {
    const urls = positionals.slice(0, -1);
    const device = positionals.at(-1);
    if (device === undefined || urls.length === 0)
      throw usageFailure('cannot write an image: a URL and a device are needed', 'write-image --help');
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(device))
      throw usageFailure(`cannot write an image: the last word, ${device}, is no device`, 'write-image --help');
    // Progress that nobody reads any more must not end a write half-way.
    stderr.on('error', () => undefined);
    // A limit of file sizes (ulimit -f) is an error that is told, not the end. Node ignores the signal, until a library has listened to it.
    const overLimit = () => undefined;
    process.on('SIGXFSZ', overLimit);
    const os = systemOs();
    const mode = progressMode({ json: values.json, quiet: values.quiet, isTerminal: stderr.isTTY });
    const job: Job = {
      os,
      values,
      wanted: await readRequest(values, urls, os, process.env),
      device,
      progress: createProgress(mode, stderr),
      trace: { isTouched: false },
      stdout,
      signal,
    };
    try {
      return await (values['dry-run'] ? plan(job) : write(job));
    } catch (error) {
      // An abort has a tale to tell, too: runProgram would only say that there was one.
      return showFailure(await explain(error, job), stderr, values.json);
    } finally {
      process.off('SIGXFSZ', overLimit);
    }
  },
});
