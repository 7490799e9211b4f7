import type { Step } from '../../agent/api/command.ts';
import type { ProvisionState } from '../states/table.ts';

export type JsonObject = Record<string, unknown>;

export type PowerState = 'power on' | 'power off';
/** What may be asked for with `PUT /v1/nodes/{node}/states/power`. */
export const POWER_TARGETS = ['power on', 'power off', 'rebooting', 'soft power off', 'soft rebooting'] as const;
export type PowerTarget = (typeof POWER_TARGETS)[number];

/** A step of a flow. `by` says who does it: the agent in the ramdisk, or this conductor. */
export type FlowStep = Partial<Omit<Step, 'step' | 'interface'>> & {
  step: string;
  interface: string;
  args?: JsonObject;
  by?: 'agent' | 'conductor';
};

/**
 * What the conductor keeps to itself about a node, and needs to go on after it was killed. Names without `ingot_` are Ironic's.
 */
export type InternalInfo = {
  /** Handed out once a boot; wiped with every power cycle. */
  agent_secret_token?: string;
  agent_url?: string;
  /** PEM of the agent's own certificate. */
  agent_verify_ca?: string;
  agent_version?: string;
  agent_last_heartbeat?: string;
  last_power_state_change?: string;
  hardware_manager_version?: JsonObject;
  clean_steps?: FlowStep[];
  clean_step_index?: number;
  deploy_steps?: FlowStep[];
  deploy_step_index?: number;
  is_whole_disk_image?: boolean;
  /** The steps an operator chose, before they were checked against what the agent offers. */
  ingot_manual_clean_steps?: FlowStep[];
  /** The agent's own steps have been asked for in this flow. */
  ingot_agent_steps_known?: boolean;
  /** The agent has answered that it does the current step; without it the step may have to be sent again. */
  ingot_step_accepted?: boolean;
  /** How often the step list was fetched anew because the agent's hardware managers had changed. */
  ingot_step_refetches?: number;
  /** What the ramdisk is being booted for; the boot script is given out only while this is there. */
  ingot_ramdisk?: 'inspect' | 'agent';
  /** The machine is being switched off and on; cleared when it is on. */
  ingot_booting?: boolean;
  /** The machine was powered on with the ramdisk to come. */
  ingot_ramdisk_started?: string;
  /** Seconds from power on to the first heartbeat of the last ramdisk that came. */
  ingot_ramdisk_boot_seconds?: number;
  /** The marks that a booting machine leaves, to tell where it got stuck. */
  ingot_boot_script_fetched?: string;
  ingot_looked_up?: string;
  /** A lookup after its agent had come: the machine, or the agent in it, was started again. */
  ingot_looked_up_again?: string;
  /** How often in this flow the machine lost its power in the middle of a step, and was started again. */
  ingot_power_losses?: number;
  /** The inventory has arrived; what is left of the inspection is to switch the machine off. */
  ingot_inventory_received?: boolean;
  /** Heartbeats in a row after which the agent could not be reached. */
  ingot_unreachable?: number;
  /** What has to stand in the evidence of the next erase; stays until a cleaning has succeeded, so that one that was cut off goes on. */
  ingot_evidence_nonce?: string;
  /** What the steps of the last flow with `dry_run` would have done. */
  ingot_plans?: { step: string; plan: JsonObject | null }[];
  /** Where the evidence of the last erase was put. */
  ingot_evidence?: string;
  /** Where the agent's logs were put after a failure. */
  ingot_agent_logs?: string;
} & JsonObject;

/** A node as it is kept. Times are ISO 8601. Unknown is null, as in Ironic's API. */
export type NodeRecord = {
  /** Counts up; Ironic sends it to the agent. */
  id: number;
  uuid: string;
  name: string | null;
  description: string | null;
  resource_class: string | null;
  driver: string;
  instance_uuid: string | null;
  provision_state: ProvisionState;
  target_provision_state: ProvisionState | null;
  provision_updated_at: string | null;
  power_state: PowerState | null;
  /** A power change that was asked for and is not done. */
  target_power_state: PowerTarget | null;
  last_error: string | null;
  maintenance: boolean;
  maintenance_reason: string | null;
  inspection_started_at: string | null;
  inspection_finished_at: string | null;
  clean_step: JsonObject;
  deploy_step: JsonObject;
  properties: JsonObject;
  driver_info: JsonObject;
  instance_info: JsonObject;
  driver_internal_info: InternalInfo;
  /** What an operator wants, and what there is; both empty where nothing is known. */
  target_raid_config: JsonObject;
  raid_config: JsonObject;
  extra: JsonObject;
  created_at: string;
  updated_at: string | null;
};

export type PortRecord = {
  id: number;
  uuid: string;
  node_id: number;
  node_uuid: string;
  /** MAC address, lower case, with colons. */
  address: string;
  pxe_enabled: boolean;
  extra: JsonObject;
  created_at: string;
  updated_at: string | null;
};

/** What an inspection found, as the ramdisk sent it. */
export type InventoryRecord = { inventory: JsonObject; plugin_data: JsonObject };
