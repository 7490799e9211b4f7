import { ROOT_IN_MEMORY } from '../../../arch/parameters.ts';
import { IMAGES, INSIDE, PORTS } from './names.ts';
import { HOST_SEEN_BY_GUEST } from '../../lab/netboot.ts';

type Settings = Readonly<Record<string, Readonly<Record<string, string | number | boolean>>>>;

export type IronicOptions = {
  /** Port of the API as the agent is told. */
  agentApiPort: number;
  /** Kernel parameters of the machine, its serial console among them. */
  machineParameters: string;
  /** Ironic 29 forgot the states of servicing where it says who may look a node up; without its restriction they may. */
  service: boolean;
};

/** Kernel parameters of every start of the ramdisk. */
function kernelParameters(machine: string): string {
  return [
    'nomodeset console=tty0',
    `${machine} ${ROOT_IN_MEMORY} ipa-debug=1`,
    // The conductor cannot reach an address inside QEMU's network, only a port of the namespace's loopback that leads to it.
    `ipa-advertise-host=127.0.0.1 ipa-advertise-port=${PORTS.agent}`,
  ].join(' ');
}

/**
 * Ironic as one process with SQLite and without Keystone. Left alone on purpose is what the agent has to stand: require_tls
 * (true), timeouts, the boot mode (UEFI).
 */
export function ironicSettings({ agentApiPort, machineParameters, service }: IronicOptions): Settings {
  return {
    DEFAULT: {
      auth_strategy: 'noauth',
      debug: true,
      host: 'interop-conductor',
      my_ip: '127.0.0.1',
      rpc_transport: 'none',
      use_stderr: true,
      state_path: '/var/lib/ironic',
      pybasedir: '/usr/lib/python3/dist-packages/ironic',
      enabled_hardware_types: 'redfish',
      enabled_bios_interfaces: 'no-bios',
      enabled_boot_interfaces: 'ipxe',
      enabled_console_interfaces: 'no-console',
      enabled_deploy_interfaces: 'direct',
      enabled_firmware_interfaces: 'no-firmware',
      enabled_inspect_interfaces: 'agent',
      enabled_management_interfaces: 'redfish',
      enabled_network_interfaces: 'noop',
      enabled_power_interfaces: 'redfish',
      enabled_raid_interfaces: 'no-raid',
      enabled_rescue_interfaces: 'agent',
      enabled_storage_interfaces: 'noop',
      enabled_vendor_interfaces: 'no-vendor',
    },
    api: { host_ip: '127.0.0.1', port: PORTS.api, ...(service && { restrict_lookup: false }) },
    agent: {
      image_download_source: 'http',
      deploy_logs_collect: 'always',
      deploy_logs_local_path: `${INSIDE.logs}/agent`,
    },
    conductor: { automated_clean: true },
    database: { connection: 'sqlite:////var/lib/ironic/ironic.sqlite' },
    // As Metal3 has it: metadata only, because zeros on whole disks prove nothing here that takes less than an hour.
    deploy: {
      http_url: IMAGES,
      http_root: INSIDE.http,
      erase_devices_priority: 0,
      erase_devices_metadata_priority: 10,
    },
    dhcp: { dhcp_provider: 'none' },
    inspector: { hooks: '$default_hooks,memory,boot-mode,cpu-capabilities,root-device' },
    inventory: { data_backend: 'database' },
    pxe: {
      tftp_root: '/var/lib/ironic/tftpboot',
      tftp_master_path: '/var/lib/ironic/master_images',
      images_path: '/var/lib/ironic/images/',
      instance_master_path: '/var/lib/ironic/master_images',
      kernel_append_params: kernelParameters(machineParameters),
    },
    service_catalog: {
      auth_type: 'none',
      endpoint_override: `http://${HOST_SEEN_BY_GUEST}:${agentApiPort}`,
    },
    oslo_concurrency: { lock_path: '/var/lib/ironic/lock' },
    json_rpc: { auth_strategy: 'noauth' },
  };
}

/** As `ironic.conf`. */
export function settingsText(settings: Settings): string {
  return Object.entries(settings)
    .map(([section, values]) =>
      [`[${section}]`, ...Object.entries(values).map(([name, value]) => `${name} = ${String(value)}`), ''].join('\n'),
    )
    .join('\n');
}

/** nginx with Ironic's boot files and the images, and nothing of Debian's own settings. */
export const NGINX_SETTINGS = `user root;
worker_processes 1;
pid /run/nginx.pid;
error_log ${INSIDE.logs}/images-errors.log;
events { worker_connections 64; }
http {
  sendfile on;
  default_type application/octet-stream;
  access_log ${INSIDE.logs}/images.log;
  server {
    listen ${PORTS.images};
    root ${INSIDE.http};
    location /given/ { alias ${INSIDE.images}/; }
  }
}
`;
