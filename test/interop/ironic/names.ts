import { HOST_SEEN_BY_GUEST } from '../../lab/netboot.ts';

/** Everything has a network namespace of its own, so that fixed ports collide with nothing. */
export const PORTS = {
  api: 6385,
  recordedApi: 6386,
  images: 8080,
  bmc: 8000,
  agent: 9999,
  recordedAgent: 9998,
  ssh: 2222,
};

export const NODE = 'interop';
export const MAC = '52:54:00:1a:0c:0e';
/** The hint names the second disk, so that whoever takes the first one is found out. */
export const ROOT_DISK_SERIAL = 'LAB-NVME-2';
export const BMC_USER = 'admin';

/** Paths inside Ironic's tree. */
export const INSIDE = {
  images: '/var/lib/ironic/given',
  http: '/var/lib/ironic/httpboot',
  logs: '/var/log/ironic',
};

/** Where the client and Ironic itself find the API. */
export const API = `http://127.0.0.1:${PORTS.api}`;
/** Where the machine, and the conductor as well, find images and boot files. */
export const IMAGES = `http://${HOST_SEEN_BY_GUEST}:${PORTS.images}`;
