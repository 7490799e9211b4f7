import { readFile } from 'node:fs/promises';

import { usageFailure } from '../../cli/options.ts';
import { reasonOf } from '../../system/failure.ts';
import { connect, type NodeJson, nodePath } from './client.ts';
import { defineCommand } from '../../cli/command.ts';
import { API_OPTIONS, WAIT_OPTIONS } from './shared-options.ts';
import { cliFailure } from './failures.ts';
import { GOALS, printOutcome, request } from './node-flows.ts';
import { oneNode } from './node-records.ts';
import { waitForNode } from './wait.ts';

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** `KEY=VALUE`, where VALUE may be JSON, or a whole JSON object. */
export function parseProperties(texts: readonly string[]): Record<string, unknown> {
  const properties: Record<string, unknown> = {};
  for (const text of texts) {
    const whole = text.trimStart().startsWith('{') ? jsonOr(text) : undefined;
    if (typeof whole === 'object') Object.assign(properties, whole);
    else {
      const at = text.indexOf('=');
      if (at < 1) throw usageFailure(`cannot use --property ${text}: KEY=VALUE or a JSON object is needed`);
      properties[text.slice(0, at)] = jsonOr(text.slice(at + 1));
    }
  }
  return properties;
}

/** Root device hints: JSON as Ironic has it in properties.root_device, or `serial=X`, several with commas. */
export function parseRootDevice(text: string): Record<string, unknown> {
  if (text.trimStart().startsWith('{')) {
    const value = jsonOr(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
    throw usageFailure(`cannot use --root-device ${text}: it is no JSON object`);
  }
  return Object.fromEntries(
    text.split(',').map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1)
        throw usageFailure(
          `cannot use --root-device ${text}: HINT=VALUE or a JSON object is needed`,
          '--root-device serial=S3Z9NX0M',
        );
      const [key, value] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
      // Size is a number of GiB in Ironic; a serial number stays text even if it has digits only.
      return [key, key === 'size' || key === 'rotational' ? jsonOr(value) : value];
    }),
  );
}

async function verifyCa(text: string | undefined): Promise<unknown> {
  if (text === undefined || /^(true|false)$/i.test(text))
    return text === undefined ? undefined : text.toLowerCase() === 'true';
  try {
    return await readFile(text, 'utf8');
  } catch (error) {
    throw cliFailure('FILE_UNUSABLE', `--redfish-verify-ca ${text}: ${reasonOf(error)}`);
  }
}

const MAC = /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i;

export const createCommand = defineCommand({
  summary: 'Makes the record of a machine and verifies that its BMC answers.',
  usage: 'NAME --redfish-address URL --mac MAC [options]',
  details: [
    'The node becomes manageable. Where its BMC does not answer the record stays, in',
    'state enroll; ingot node manage tries again.',
  ],
  options: {
    'redfish-address': { type: 'string', placeholder: 'URL', help: 'the BMC, https://192.0.2.7' },
    'redfish-system-id': {
      type: 'string',
      placeholder: 'PATH',
      help: 'the machine in it, /redfish/v1/Systems/1; not needed where the BMC has only one',
    },
    'redfish-username': { type: 'string', placeholder: 'NAME', help: 'account on the BMC' },
    'redfish-password': {
      type: 'string',
      placeholder: 'TEXT',
      help: 'its password; else the variable INGOT_REDFISH_PASSWORD',
    },
    'redfish-auth-type': {
      type: 'string',
      choices: ['auto', 'basic', 'session'],
      help: 'how to log in; auto is basic, then session',
    },
    'redfish-verify-ca': {
      type: 'string',
      placeholder: 'true|false|FILE',
      help: "how the BMC's certificate is checked; FILE is one in PEM form",
    },
    mac: {
      type: 'string',
      placeholder: 'MAC',
      multiple: true,
      help: 'a NIC that boots from the network; may be given again',
    },
    property: {
      type: 'string',
      placeholder: 'KEY=VALUE',
      multiple: true,
      help: 'an entry of properties, or all of them as JSON',
    },
    'root-device': {
      type: 'string',
      placeholder: 'HINTS',
      help: 'which disk gets the image: serial=X, wwn=X, name=/dev/X, or JSON',
    },
    'kernel-append': { type: 'string', placeholder: 'TEXT', help: "kernel parameters for this machine's ramdisk" },
    'no-manage': { type: 'boolean', help: 'do not talk to the BMC yet' },
    ...API_OPTIONS,
    ...WAIT_OPTIONS,
  },
  run: async (program, values, positionals) => {
    const name = oneNode(positionals);
    if (values['redfish-address'] === undefined)
      throw usageFailure(`cannot create node ${name}: --redfish-address is missing`);
    const wrong = values.mac.find((mac) => !MAC.test(mac));
    if (wrong !== undefined)
      throw usageFailure(`cannot use --mac ${wrong}: six pairs of hexadecimal digits are needed`);
    const driver_info = {
      redfish_address: values['redfish-address'],
      redfish_system_id: values['redfish-system-id'],
      redfish_username: values['redfish-username'],
      redfish_password: values['redfish-password'] ?? process.env['INGOT_REDFISH_PASSWORD'],
      redfish_auth_type: values['redfish-auth-type'],
      redfish_verify_ca: await verifyCa(values['redfish-verify-ca']),
      kernel_append_params: values['kernel-append'],
    };
    const properties = {
      ...parseProperties(values.property),
      ...(values['root-device'] !== undefined && { root_device: parseRootDevice(values['root-device']) }),
    };
    const client = connect(values.api, program.signal);
    const node = await client.send<NodeJson>('POST', '/v1/nodes', { name, driver: 'redfish', driver_info, properties });
    try {
      for (const address of values.mac) await client.send('POST', '/v1/ports', { node_uuid: node.uuid, address });
    } catch (error) {
      // Half a node helps nobody: the name would be taken at the next try.
      await client.send('DELETE', nodePath(node.uuid));
      throw error;
    }
    const manages = !values['no-manage'];
    if (manages) await request(client, node.uuid, 'manage');
    const waits = manages && !values['no-wait'];
    const done = waits
      ? await waitForNode(program, client, node.uuid, GOALS.manage, values)
      : await client.node(node.uuid);
    printOutcome(program, done, values.json, waits || !manages);
    return 0;
  },
});
