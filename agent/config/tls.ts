import { rootCertificates } from 'node:tls';

import { defineFailures } from '../../system/failure.ts';
import type { SystemFiles } from '../os/door.ts';
import type { AgentConfig } from './config.ts';

/** How the agent meets TLS servers, as Node's own `tls.connect` takes it. */
export type ClientTls = {
  rejectUnauthorized: boolean;
  minVersion: 'TLSv1.2' | 'TLSv1.3';
  ciphers?: string;
  /** PEM texts. */
  ca?: string;
  cert?: string;
  key?: string;
};

/** The texts of cafile, certfile and keyfile. */
export type TlsFiles = Pick<ClientTls, 'ca' | 'cert' | 'key'>;

export const tlsFailure = defineFailures({
  BAD_TLS_FILE: {
    message: (detail) => `cannot use ${detail}`,
    hint: 'put the file into the ramdisk or onto its virtual media, or take the option out',
  },
});

/** Node limits a context to TLS 1.2 when its list of suites has none of 1.3. */
const TLS13_SUITES = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256';

/** Lowest version and suites, the same for server and client. */
export function tlsLimits(config: AgentConfig): Pick<ClientTls, 'minVersion' | 'ciphers'> {
  if (config.tlsMinVersion === '1.3') return { minVersion: 'TLSv1.3' };
  return { minVersion: 'TLSv1.2', ciphers: `${TLS13_SUITES}:${config.tlsCipherSuites}` };
}

/** @param option as it is called in files */
async function readPem(files: SystemFiles, option: string, path: string, label: RegExp): Promise<string> {
  const text = await files.read(path);
  if (text === undefined) throw tlsFailure('BAD_TLS_FILE', `${option}=${path}: it cannot be read`);
  if (!label.test(text)) throw tlsFailure('BAD_TLS_FILE', `${option}=${path}: nothing of the kind is in it (PEM)`);
  return text;
}

const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----/;
const KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/;

/** Where an operator's own authorities are put in Debian's and in Red Hat's world; elements of the field do it. */
const OWN_AUTHORITIES = ['/usr/local/share/ca-certificates', '/etc/pki/ca-trust/source/anchors'];

/** cafile alone; without it Node's authorities and the operator's own, where there are some. */
async function readAuthorities(cafile: string | undefined, files: SystemFiles): Promise<Pick<ClientTls, 'ca'>> {
  if (cafile !== undefined) return { ca: await readPem(files, 'cafile', cafile, CERTIFICATE) };
  const own: string[] = [];
  for (const folder of OWN_AUTHORITIES) {
    for (const name of (await files.list(folder)).toSorted()) {
      const text = await files.read(`${folder}/${name}`);
      if (text !== undefined && CERTIFICATE.test(text)) own.push(text.trim());
    }
  }
  return own.length === 0 ? {} : { ca: [...rootCertificates, ...own].join('\n') };
}

/**
 * Reads what clients need.
 * @param notice told of a certificate without key, or the other way round, which is left out
 * @throws Failure `BAD_TLS_FILE` that names the option
 */
export async function readTlsFiles(
  config: Pick<AgentConfig, 'cafile' | 'certfile' | 'keyfile'>,
  files: SystemFiles,
  notice: (text: string) => void,
): Promise<TlsFiles> {
  const { cafile, certfile, keyfile } = config;
  const ca = await readAuthorities(cafile, files);
  if (certfile === undefined && keyfile === undefined) return ca;
  if (certfile === undefined || keyfile === undefined) {
    notice(
      `${certfile === undefined ? 'keyfile' : 'certfile'} has no effect: certfile and keyfile are needed together`,
    );
    return ca;
  }
  return {
    ...ca,
    cert: await readPem(files, 'certfile', certfile, CERTIFICATE),
    key: await readPem(files, 'keyfile', keyfile, KEY),
  };
}

/** What the agent as a client goes by, as the configuration is now. */
export function clientTls(config: AgentConfig, texts: TlsFiles = {}): ClientTls {
  return { rejectUnauthorized: !config.insecure, ...tlsLimits(config), ...texts };
}

/**
 * The certificate that `listen_tls` names.
 * @throws Failure `BAD_TLS_FILE` that names the option
 */
export async function readServerCertificate(
  { tlsCertFile, tlsKeyFile }: Pick<AgentConfig, 'tlsCertFile' | 'tlsKeyFile'>,
  files: SystemFiles,
): Promise<{ certificate: string; key: string }> {
  if (tlsCertFile === undefined || tlsKeyFile === undefined)
    throw tlsFailure('BAD_TLS_FILE', 'listen_tls: tls_cert_file and tls_key_file are needed, too');
  return {
    certificate: await readPem(files, 'tls_cert_file', tlsCertFile, CERTIFICATE),
    key: await readPem(files, 'tls_key_file', tlsKeyFile, KEY),
  };
}
