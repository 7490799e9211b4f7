import { bmcFailure } from './failures.ts';

export const AUTH_TYPES = ['auto', 'basic', 'session'] as const;

/** How a BMC is reached: the `redfish_*` keys of a node's driver_info, checked. */
export type RedfishSettings = {
  /** Scheme and host, without a path. */
  address: URL;
  /** Path of the ComputerSystem, `/redfish/v1/Systems/1`; undefined: the only one that the BMC has. */
  systemId: string | undefined;
  username: string;
  password: string;
  authType: (typeof AUTH_TYPES)[number];
  /** true: the system's CAs; false: anything; text: PEM. */
  verifyCa: boolean | string;
};

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);

function verifyCaOf(value: unknown): boolean | string {
  if (value === undefined || value === null) return true;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') {
    if (/^(true|yes|on|1)$/i.test(value)) return true;
    if (/^(false|no|off|0)$/i.test(value)) return false;
    if (value.includes('-----BEGIN CERTIFICATE-----')) return value;
  }
  throw bmcFailure('BMC_UNCONFIGURED', `redfish_verify_ca is neither true, nor false, nor a certificate in PEM form`);
}

/**
 * Reads a node's driver_info. Names and defaults are those of Ironic's redfish driver.
 * @throws Failure BMC_UNCONFIGURED that names the key
 */
export function redfishSettings(driverInfo: Readonly<Record<string, unknown>>): RedfishSettings {
  const address = text(driverInfo['redfish_address']);
  if (address === undefined) throw bmcFailure('BMC_UNCONFIGURED', 'driver_info has no redfish_address');
  const withScheme = /^[a-z]+:\/\//i.test(address) ? address : `https://${address}`;
  if (!URL.canParse(withScheme) || !/^https?:/i.test(withScheme)) {
    throw bmcFailure('BMC_UNCONFIGURED', `redfish_address ${address} is no http or https URL`);
  }
  const systemId = text(driverInfo['redfish_system_id']);
  if (systemId !== undefined && !systemId.startsWith('/')) {
    throw bmcFailure('BMC_UNCONFIGURED', `redfish_system_id ${systemId} does not start with /`);
  }
  const authType = (driverInfo['redfish_auth_type'] ?? 'auto') as RedfishSettings['authType'];
  if (!AUTH_TYPES.includes(authType)) {
    throw bmcFailure('BMC_UNCONFIGURED', `redfish_auth_type is one of ${AUTH_TYPES.join(', ')}`);
  }
  return {
    address: new URL(withScheme),
    systemId,
    username: text(driverInfo['redfish_username']) ?? '',
    password: text(driverInfo['redfish_password']) ?? '',
    authType,
    verifyCa: verifyCaOf(driverInfo['redfish_verify_ca']),
  };
}
