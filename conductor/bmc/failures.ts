import { defineFailures } from '../../system/failure.ts';

export const bmcFailure = defineFailures({
  BMC_UNCONFIGURED: {
    message: (detail) => `cannot talk to the node's BMC: ${detail}`,
    hint: 'give --redfish-address URL, and --redfish-system-id PATH, such as /redfish/v1/Systems/1, where a BMC has several',
  },
  BMC_UNREACHABLE: {
    message: (detail) => `cannot reach the BMC at ${detail}`,
    hint: 'check redfish_address, that the BMC is on the network, and that its web server is enabled',
  },
  BMC_CERTIFICATE: {
    message: (detail) => `cannot trust the BMC at ${detail}`,
    hint: 'give the certificate with --redfish-verify-ca FILE, or switch the check off with --redfish-verify-ca false',
  },
  BMC_LOGIN: {
    message: (detail) => `cannot log in to the BMC at ${detail}`,
    hint: 'check redfish_username and redfish_password, and that the account is not locked',
  },
  BMC_SYSTEM_NOT_FOUND: {
    message: (detail) => `cannot find the system ${detail}`,
    hint: 'check redfish_system_id against the Members of /redfish/v1/Systems on this BMC',
  },
  BMC_REFUSED: { message: (detail) => `cannot change the machine through its BMC: ${detail}` },
  BMC_NOT_REDFISH: {
    message: (detail) => `cannot understand the BMC at ${detail}`,
    hint: 'check that redfish_address is the BMC and that it speaks Redfish',
  },
  POWER_TIMEOUT: {
    message: (detail) => `cannot bring the machine to ${detail}`,
    hint: 'look at the machine and its BMC log; then ingot node power',
  },
});
