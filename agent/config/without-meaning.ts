/**
 * What ironic-python-agent can be told and this agent need not be: known by name, so that a file or a command line made for
 * the one says at the other what it does not do.
 */
export type WithoutMeaning = {
  /** Kernel parameter. */
  parameter?: string;
  /** Options; `*` at the end of one stands for any letters. */
  options?: readonly string[];
  /** Section; DEFAULT without it. */
  group?: string;
  /** "it has no effect here: …". */
  reason: string;
};

export const WITHOUT_MEANING: readonly WithoutMeaning[] = [
  { parameter: 'ipa-standalone', options: ['standalone'], reason: 'the agent always works for an Ironic' },
  {
    parameter: 'ipa-agent-token-required',
    options: ['agent_token_required'],
    reason: 'commands always need the token',
  },
  {
    options: ['introspection_daemon*'],
    reason: 'it is for a tool of installed systems; the agent posts the inventory once, at start',
  },
  {
    options: [
      'default_log_levels',
      'fatal_deprecations',
      'instance_*',
      'log_*',
      'logging_*',
      'max_log*',
      'publish_errors',
      'rate_limit_*',
      'syslog_*',
      'use_eventlog',
      'use_journal',
      'use_json',
      'use_stderr',
      'use_syslog',
      'verbose',
      'watch_log_file',
    ],
    reason: 'the agent logs to the console, and its log is part of every archive of logs',
  },
  { group: 'ssl', options: ['ca_file'], reason: 'who may give commands is known by the token, not by a certificate' },
  { group: 'disk_utils', options: ['dd_block_size'], reason: 'nothing here is written by dd' },
  {
    group: 'disk_utils',
    options: ['image_convert_*'],
    reason: 'images are converted as they arrive, in bounded memory, without qemu-img',
  },
  {
    group: 'disk_utils',
    options: ['partition_detection_attempts', 'partprobe_attempts'],
    reason: 'the agent waits for udev to have seen new partitions',
  },
  { group: 'disk_partitioner', options: ['*'], reason: 'whether a disk is in use is asked of the kernel, once' },
  { group: 'mdns', options: ['params'], reason: 'it is for services that announce themselves' },
  { group: 'metrics', options: ['*'], reason: 'there are no metrics; ironic-python-agent gives them up, too' },
  { group: 'metrics_statsd', options: ['*'], reason: 'there are no metrics; ironic-python-agent gives them up, too' },
];
