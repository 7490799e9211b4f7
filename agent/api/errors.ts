import { Type, type Static } from 'typebox';

/**
 * Errors that the agent answers with. `type` and `code` are what Ironic's conductor sees in `command_error` and are
 * ironic-python-agent's own names (IPA `errors.py`); `message` is the fixed first part, the detail follows in `details`.
 */
export const AGENT_ERRORS = {
  InvalidContentError: { code: 400, message: 'Invalid request body' },
  InvalidCommandError: { code: 400, message: 'Invalid command' },
  InvalidCommandParamsError: { code: 400, message: 'Invalid command parameters' },
  NotFound: { code: 404, message: 'Not found' },
  DeviceNotFound: { code: 404, message: 'Error finding the disk or partition device to deploy the image onto' },
  AgentIsBusy: { code: 409, message: 'Agent is busy' },
  VersionMismatch: { code: 409, message: 'Hardware managers version mismatch, reload agent with correct version' },
  CommandExecutionError: { code: 500, message: 'Command execution failed' },
  ContainerNotPermittedError: { code: 500, message: 'Container image not permitted' },
  ImageDownloadError: { code: 500, message: 'Error downloading image' },
  ImageDownloadTimeoutError: { code: 408, message: 'Image download timeout' },
  ImageChecksumError: { code: 500, message: 'Error verifying image checksum' },
  ImageWriteError: { code: 500, message: 'Error writing image to device' },
  InvalidImage: { code: 500, message: 'The provided image is not valid for use' },
  BlockDeviceError: { code: 500, message: 'Block device error' },
  BlockDeviceEraseError: { code: 500, message: 'Error erasing block device' },
  ProtectedDeviceError: { code: 500, message: 'Protected device' },
  CleaningError: { code: 500, message: 'Clean step failed' },
  DeploymentError: { code: 500, message: 'Deploy step failed' },
  ServicingError: { code: 500, message: 'Service step failed' },
  SoftwareRAIDError: { code: 500, message: 'Software RAID caused unknown error' },
  SystemRebootError: { code: 500, message: 'Error rebooting system' },
  ClockSyncError: { code: 500, message: 'Error syncing clock' },
  HardwareManagerMethodNotFound: { code: 500, message: 'No HardwareManager found to handle method' },
  HardwareManagerConfigurationError: { code: 500, message: 'Hardware manager configuration error' },
  IncompatibleHardwareMethodError: { code: 500, message: 'HardwareManager method is not compatible with hardware' },
  TypeError: { code: 500, message: 'Invalid arguments' },
} as const satisfies Record<string, { code: number; message: string }>;

export type AgentErrorType = keyof typeof AGENT_ERRORS;

/** `command_error` of a command result. The conductor shows `details`, else `message`. */
export const CommandErrorSchema = Type.Object({
  type: Type.String(),
  code: Type.Integer(),
  message: Type.String(),
  details: Type.String(),
});
export type CommandError = Static<typeof CommandErrorSchema>;

export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly type: AgentErrorType;
  /** HTTP status when it is thrown before a command starts. */
  readonly code: number;

  /**
   * What was done all the same, in the form that the result would have had. It stands in `command_result` of a FAILED command, where
   * ironic-python-agent has null and Ironic does not look (`agent_base.process_next_step` reads `command_error` alone).
   */
  readonly result: unknown;

  /** @param details what exactly cannot be done, why, and what to try; shown to the operator */
  constructor(type: AgentErrorType, details: string, { result, ...options }: ErrorOptions & { result?: unknown } = {}) {
    super(`${AGENT_ERRORS[type].message}: ${details}`, options);
    this.type = type;
    this.code = AGENT_ERRORS[type].code;
    this.details = details;
    this.result = result;
  }
  readonly details: string;

  toCommandError(): CommandError {
    return { type: this.type, code: this.code, message: AGENT_ERRORS[this.type].message, details: this.details };
  }
}
