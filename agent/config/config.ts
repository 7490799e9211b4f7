import { Type, type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';

import { defineFailures } from '../../system/failure.ts';

/**
 * The agent's configuration as one table: kernel parameter, meaning, default, and what a good value looks like
 * (names and defaults are ironic-python-agent's, so that Ironic's templates work unchanged).
 */
export type ParameterSpec = {
  /** As it stands on the kernel command line. */
  parameter: string;
  help: string;
  /** "a whole number of seconds": the end of the sentence "… is needed". */
  needs: string;
  /** Text of the parameter to a value; undefined where the text cannot be one. */
  read: (text: string) => unknown;
  schema: TSchema;
  default: unknown;
};

const TRUE_WORDS = ['true', '1', 'on', 'yes', 't', 'y'];
const FALSE_WORDS = ['false', '0', 'off', 'no', 'f', 'n'];

/** The words that oslo.config takes for a boolean; undefined for any other. */
export function readBoolean(text: string): boolean | undefined {
  const word = text.trim().toLowerCase();
  if (TRUE_WORDS.includes(word)) return true;
  return FALSE_WORDS.includes(word) ? false : undefined;
}

function readNumber(text: string): number | undefined {
  return /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : undefined;
}

/** A comma list: blanks around items and empty items are dropped, order is kept. */
export function readList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

const word = (text: string): string => text.trim();
const lowerWord = (text: string): string => text.trim().toLowerCase();
/** Ironic's templates may leave a parameter empty (`ipa-global-request-id=`): that is as good as absent. */
const optionalText = {
  read: word,
  schema: Type.Union([Type.String({ minLength: 1 }), Type.Undefined()]),
  default: undefined,
};
const seconds = {
  needs: 'a number of seconds, 0 or more',
  read: readNumber,
  schema: Type.Number({ minimum: 0, maximum: 1e9 }),
};
const count = {
  needs: 'a whole number, 0 or more',
  read: readNumber,
  schema: Type.Integer({ minimum: 0, maximum: 1e6 }),
};
const port = {
  needs: 'a port number from 1 to 65535',
  read: readNumber,
  schema: Type.Integer({ minimum: 1, maximum: 65_535 }),
  default: 9999,
};
const flag = { needs: 'true or false', read: readBoolean, schema: Type.Boolean() };
const urls = {
  needs: 'a comma list of http:// or https:// URLs',
  read: (text: string) => readList(text).map((url) => url.replace(/\/+$/, '')),
  schema: Type.Array(Type.String({ pattern: '^https?://[^/\\s]+' })),
  default: [],
};

export const PARAMETERS = {
  apiUrls: { ...urls, parameter: 'ipa-api-url', help: "the Ironic API's addresses, tried in order" },
  inspectionCallbackUrls: {
    ...urls,
    parameter: 'ipa-inspection-callback-url',
    help: 'where the inventory is posted at start; without it there is no inspection',
  },
  inspectionCollectors: {
    parameter: 'ipa-inspection-collectors',
    help: 'collectors whose data is posted, in order',
    needs: 'a comma list of collector names',
    read: readList,
    schema: Type.Array(Type.String()),
    default: [],
  },
  bootInterface: { ...optionalText, parameter: 'BOOTIF', help: 'MAC that the machine booted from', needs: 'a MAC' },
  agentToken: { ...optionalText, parameter: 'ipa-agent-token', help: 'token made in advance', needs: 'a token' },
  globalRequestId: {
    ...optionalText,
    parameter: 'ipa-global-request-id',
    help: 'sent as X-OpenStack-Request-ID with every request to Ironic',
    needs: 'a request id',
    schema: Type.Union([Type.String({ pattern: '^[\\x21-\\x7e]+$' }), Type.Undefined()]),
  },
  listenHost: {
    ...optionalText,
    parameter: 'ipa-listen-host',
    help: 'address that the agent listens on; all of them without it',
    needs: 'an address',
  },
  listenPort: { ...port, parameter: 'ipa-listen-port', help: 'port that the agent listens on' },
  advertiseHost: {
    ...optionalText,
    parameter: 'ipa-advertise-host',
    help: 'address that Ironic is told; found by asking the routing table without it',
    needs: 'an address or host name',
  },
  advertisePort: { ...port, parameter: 'ipa-advertise-port', help: 'port that Ironic is told' },
  advertiseProtocol: {
    parameter: 'ipa-advertise-protocol',
    help: 'protocol that Ironic is told; https wherever the agent made its certificate',
    needs: 'http or https',
    read: lowerWord,
    schema: Type.Union([Type.Literal('http'), Type.Literal('https')]),
    default: 'http',
  },
  ipLookupAttempts: {
    ...count,
    parameter: 'ipa-ip-lookup-attempts',
    help: 'tries to find the own address',
    default: 6,
  },
  ipLookupSleepSeconds: {
    ...seconds,
    parameter: 'ipa-ip-lookup-timeout',
    help: "seconds between two such tries (the name is the field's, the meaning too)",
    default: 10,
  },
  lookupTimeoutSeconds: { ...seconds, parameter: 'ipa-lookup-timeout', help: 'one round of lookups', default: 600 },
  lookupIntervalSeconds: {
    ...seconds,
    parameter: 'ipa-lookup-interval',
    help: 'least wait between lookups',
    default: 1,
  },
  httpRequestTimeoutSeconds: {
    ...seconds,
    parameter: 'ipa-http-request-timeout',
    help: 'longest wait for an answer of Ironic',
    default: 30,
  },
  ironicApiVersion: {
    ...optionalText,
    parameter: 'ipa-ironic-api-version',
    help: "the server's API version, so that it is not asked",
    needs: 'a version such as 1.68',
    schema: Type.Union([Type.String({ pattern: '^1\\.\\d{1,4}$' }), Type.Undefined()]),
  },
  insecure: { ...flag, parameter: 'ipa-insecure', help: "take any server's certificate", default: false },
  tlsMinVersion: {
    parameter: 'ipa-tls-min-version',
    help: 'lowest TLS version of the agent, as server and as client',
    needs: '1.2 or 1.3',
    read: word,
    schema: Type.Union([Type.Literal('1.2'), Type.Literal('1.3')]),
    default: '1.2',
  },
  tlsCertificateCurve: {
    parameter: 'ipa-tls-certificate-curve',
    help: "curve of the agent's own key",
    needs: 'p256, p384 or p521',
    read: lowerWord,
    schema: Type.Union([Type.Literal('p256'), Type.Literal('p384'), Type.Literal('p521')]),
    default: 'p384',
  },
  diskWaitAttempts: { ...count, parameter: 'ipa-disk-wait-attempts', help: 'tries to find the root disk', default: 10 },
  diskWaitDelaySeconds: {
    ...seconds,
    parameter: 'ipa-disk-wait-delay',
    help: 'seconds between such tries',
    default: 3,
  },
  imageDownloadConnectionTimeoutSeconds: {
    ...seconds,
    parameter: 'ipa-image-download-connection-timeout',
    help: 'longest silence of an image server',
    default: 60,
  },
  imageDownloadConnectionRetries: {
    ...count,
    parameter: 'ipa-image-download-connection-retries',
    help: 'further tries after the first',
    default: 9,
  },
  imageDownloadConnectionRetryIntervalSeconds: {
    ...seconds,
    parameter: 'ipa-image-download-connection-retry-interval',
    help: 'seconds between such tries',
    default: 10,
  },
  imageDownloadMaxDurationSeconds: {
    ...seconds,
    parameter: 'ipa-image-download-max-duration',
    help: 'longest download of an image; 0 is no limit',
    default: 0,
  },
  debug: { ...flag, parameter: 'ipa-debug', help: 'say more in the log', default: false },
  guardSpecialFilesystems: {
    ...flag,
    parameter: 'ipa-guard-special-filesystems',
    help: 'never touch shared file systems (GFS2, GPFS, VMFS)',
    default: true,
  },
  hardwareInitializationDelaySeconds: {
    ...seconds,
    parameter: 'ipa-hardware-initialization-delay',
    help: 'wait for slow hardware at start',
    default: 0,
  },
} as const satisfies Record<string, ParameterSpec>;

/** All durations are seconds, as their names say. Absent texts are undefined, absent lists are empty. */
export type AgentConfig = { -readonly [K in keyof typeof PARAMETERS]: Static<(typeof PARAMETERS)[K]['schema']> };

export const configFailure = defineFailures({
  BAD_PARAMETER: {
    message: (detail) => `cannot use kernel parameter ${detail}`,
    hint: "correct it where the boot entry is made (Ironic: the node's driver_info.kernel_append_params)",
  },
});

/** Values of these never appear in an error or a log. */
const SECRET_PARAMETERS: readonly string[] = ['ipa-agent-token'];

function readParameter(spec: ParameterSpec, text: string): unknown {
  if (text.trim() === '') return spec.default;
  const value = spec.read(text);
  if (value !== undefined && Value.Check(spec.schema, value)) return value;
  const shown = SECRET_PARAMETERS.includes(spec.parameter) ? '(not shown)' : text;
  throw configFailure('BAD_PARAMETER', `${spec.parameter}=${shown}: ${spec.needs} is needed`);
}

/**
 * Kernel parameters to the agent's configuration; parameters that the table does not know are somebody else's.
 * @throws Failure `BAD_PARAMETER` that names the parameter, its value and what is needed
 */
export function makeConfig(parameters: ReadonlyMap<string, string>): AgentConfig {
  return Object.fromEntries(
    Object.entries<ParameterSpec>(PARAMETERS).map(([key, spec]) => {
      const text = parameters.get(spec.parameter);
      return [key, text === undefined ? spec.default : readParameter(spec, text)];
    }),
  ) as AgentConfig;
}
