import type { OptionTable } from '../../cli/options.ts';
import { MOST_SECONDS } from '../config/values.ts';
import { VERIFY_LEVELS } from '../image/verify.ts';

/** The command line of `ingot-agent write-image`. */
export const WRITE_IMAGE_OPTIONS = {
  checksum: {
    type: 'string',
    placeholder: '[ALGORITHM:]HEX',
    help: 'what the file must hash to, or a checksum file (URL or path); "none" has to be said',
  },
  'allow-md5': { type: 'boolean', help: 'an MD5 checksum will do' },
  format: {
    type: 'string',
    placeholder: 'FORMAT',
    choices: ['raw', 'qcow2'],
    help: 'of the image, whatever it is packed in; the file decides unless said, and is refused if it is another',
  },
  verify: {
    type: 'string',
    placeholder: 'LEVEL',
    choices: VERIFY_LEVELS,
    help: 'how much of what was written is read back before the disk can boot; sample unless said',
  },
  'dry-run': { type: 'boolean', help: 'say what would be written where, and what speaks against it; write nothing' },
  ca: { type: 'string', placeholder: 'FILE', help: 'authorities for HTTPS servers (PEM), instead of the usual ones' },
  cert: { type: 'string', placeholder: 'FILE', help: 'client certificate for HTTPS servers (PEM)' },
  key: { type: 'string', placeholder: 'FILE', help: 'its private key (PEM)' },
  'header-file': {
    type: 'string',
    placeholder: 'FILE',
    help: 'headers for the requests, one "Name: value" a line',
  },
  proxy: {
    type: 'string',
    placeholder: 'URL',
    help: 'HTTP proxy; http_proxy, https_proxy and no_proxy count without it',
  },
  timeout: {
    type: 'integer',
    placeholder: 'SECONDS',
    range: [0, MOST_SECONDS],
    help: 'longest time for all of it; 0 is no limit, and so it is unless said',
  },
  stall: {
    type: 'integer',
    placeholder: 'SECONDS',
    range: [1, MOST_SECONDS],
    help: 'longest silence of the server; 60 unless said',
  },
  retries: { type: 'integer', help: 'further tries after a failed request; 9 unless said' },
  quiet: { type: 'boolean', short: 'q', help: 'no progress' },
  json: { type: 'boolean', help: 'the result as JSON, progress and failures as one object a line' },
} as const satisfies OptionTable;

/** Exit codes, as the help lists them. */
export const EXIT_CODES = {
  written: 0,
  usage: 2,
  refused: 3,
  cleared: 4,
  notCleared: 5,
} as const;

/** Shown with the options; at most 80 characters a line. */
export const WRITE_IMAGE_DETAILS: readonly string[] = [
  'URL is http, https, file, oci (oci://HOST/REPOSITORY:TAG, which brings its own',
  'checksum), or the path of a file; several are the same image in several places,',
  'tried in order. DEVICE is a block device, or a regular file of a disk’s size,',
  'which is neither grown nor truncated. All that was on it is lost.',
  'Until the checksum was verified, and after a failure, it has no partition table,',
  'so that nothing boots from it. Nothing is asked: a device that is mounted, held,',
  'swap, read-only or not known to be free is refused.',
  '',
  'INGOT_IMAGE_USER and INGOT_IMAGE_PASSWORD log in to the server (basic), or',
  'INGOT_IMAGE_AUTHORIZATION is the whole header. Command lines can be read by all.',
  '',
  'Ends with 0 when everything was written, verified and flushed (or would be), 2',
  'for a command line that makes no sense, 3 when it was refused before the device',
  'was touched, 4 when it failed after that (the partition table was cleared), 5',
  'when even that failed, 130 or 143 when it was interrupted.',
];
