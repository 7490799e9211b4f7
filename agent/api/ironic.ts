import { Type, type Static } from 'typebox';

import { NodeSchema } from './command.ts';

/** The API version header (Ironic `api/controllers/base.py` Version.string). */
export const VERSION_HEADER = 'x-openstack-ironic-api-version';

/** What a token looks like once Ironic has given it out and will not give it again. */
export const MASKED_TOKEN = '******';

/** Answer of `GET /v1/lookup`. */
export const LookupSchema = Type.Object({
  node: NodeSchema,
  config: Type.Object({
    /** Seconds; the agent beats at 0.3 to 0.6 of it. */
    heartbeat_timeout: Type.Integer(),
    agent_token: Type.Optional(Type.String()),
    agent_token_required: Type.Optional(Type.Boolean()),
  }),
});
export type Lookup = Static<typeof LookupSchema>;

/** Body of `POST /v1/heartbeat/{node}`; the answer is 202 without a body. */
export const HeartbeatSchema = Type.Object({
  callback_url: Type.String(),
  agent_token: Type.String(),
  agent_version: Type.String(),
  agent_verify_ca: Type.Optional(Type.String()),
});
export type Heartbeat = Static<typeof HeartbeatSchema>;
