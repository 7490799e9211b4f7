/** Version that the agent reports in heartbeats and in `/v1/status`. */
export const AGENT_VERSION = '0.1.0';
