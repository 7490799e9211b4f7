import { defineFailures } from '../../system/failure.ts';

export const storeFailure = defineFailures({
  DATABASE_BUSY: {
    message: (detail) => `cannot open the conductor's database ${detail}: another conductor has it open`,
    hint: 'stop the other conductor, or give this one its own --state-dir',
  },
  DATABASE_TOO_NEW: {
    message: (detail) => `cannot open the conductor's database: ${detail}`,
    hint: 'run the newer Ingot that made it, or give this one its own --state-dir',
  },
  DATABASE_UNUSABLE: {
    message: (detail) => `cannot open the conductor's database ${detail}`,
    hint: 'check that --state-dir can be written, or move the damaged file away',
  },
  NODE_NOT_FOUND: {
    message: (detail) => `cannot find node ${detail}`,
    hint: 'ingot node list shows the nodes there are',
  },
  PORT_NOT_FOUND: { message: (detail) => `cannot find port ${detail}` },
  NAME_TAKEN: { message: (detail) => `cannot use the name ${detail}: another node has it` },
  UUID_TAKEN: { message: (detail) => `cannot use the uuid ${detail}: another node has it` },
  ADDRESS_TAKEN: {
    message: (detail) => `cannot use the MAC address ${detail}: a port with it already exists`,
    hint: 'ingot node list --ports shows which node has it',
  },
});
