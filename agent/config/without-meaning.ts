/**
 * What ironic-python-agent can be told and this agent need not be: known by name, so that a file or a command line made for
 * the one says at the other what it does not do.
 */
export type WithoutMeaning = {
  /** Kernel parameter. */
  parameter?: string;
  /** Option, or a pattern of options. */
  option?: string | RegExp;
  /** Section; DEFAULT without it. */
  group?: string;
  /** "it has no effect here: …". */
  reason: string;
};

export const WITHOUT_MEANING: readonly WithoutMeaning[] = [
  { parameter: 'ipa-standalone', option: 'standalone', reason: 'the agent always works for an Ironic' },
  {
    parameter: 'ipa-agent-token-required',
    option: 'agent_token_required',
    reason: 'commands always need the token',
  },
  {
    parameter: 'ipa-inject-files-priority',
    option: 'inject_files_priority',
    reason: 'this agent has no step inject_files yet',
  },
  {
    option: /^introspection_daemon/,
    reason: 'it is for a tool of installed systems; the agent posts the inventory once, at start',
  },
  { option: 'config_drive_rebuild', reason: 'a config drive is written as it comes' },
  { option: 'disable_bootc_deploy', reason: 'this agent deploys no bootc images' },
  {
    option:
      /^(log_|logging_|syslog_|use_(syslog|journal|stderr|eventlog|json)|default_log_levels|max_log|rate_limit_|publish_errors|instance_|fatal_deprecations|watch_log_file|verbose)/,
    reason: 'the agent logs to the console, and its log is part of every archive of logs',
  },
  { group: 'ssl', option: 'ca_file', reason: 'who may give commands is known by the token, not by a certificate' },
  {
    group: 'disk_utils',
    option: /^(efi_system_partition_size|bios_boot_partition_size|dd_block_size)$/,
    reason: 'this agent writes whole-disk images, which bring their partitions',
  },
  {
    group: 'disk_utils',
    option: /^image_convert_/,
    reason: 'images are converted as they arrive, in bounded memory, without qemu-img',
  },
  {
    group: 'disk_utils',
    option: /^(partition_detection|partprobe)_attempts$/,
    reason: 'the agent waits for udev to have seen new partitions',
  },
  { group: 'disk_partitioner', option: /./, reason: 'whether a disk is in use is asked of the kernel, once' },
  { group: 'mdns', option: 'params', reason: 'it is for services that announce themselves' },
  { group: 'metrics', option: /./, reason: 'there are no metrics; ironic-python-agent gives them up, too' },
  { group: 'metrics_statsd', option: /./, reason: 'there are no metrics; ironic-python-agent gives them up, too' },
];
