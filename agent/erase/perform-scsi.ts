import type { Perform } from './perform.ts';

const KINDS = {
  block: ['--block'],
  crypto: ['--crypto'],
  overwrite: ['--overwrite', '--zero'],
} as const;

/** `--quick`: without the fifteen seconds in which a person could change their mind. */
function sanitize(kind: keyof typeof KINDS): Perform {
  return async ({ recorder, disk }) => {
    await recorder.run('sg_sanitize', [...KINDS[kind], '--quick', '--wait', disk.disk.name]);
    return { written: null, gaps: [] };
  };
}

const revertOpal: Perform = async ({ recorder, disk, psid }) => {
  await recorder.run('sedutil-cli', ['--yesIreallywanttoERASEALLmydatausingthePSID', psid ?? '', disk.disk.name]);
  return { written: null, gaps: [] };
};

export const SCSI_PERFORMERS = {
  'scsi-sanitize-block': sanitize('block'),
  'scsi-sanitize-crypto': sanitize('crypto'),
  'scsi-sanitize-overwrite': sanitize('overwrite'),
  'opal-psid-revert': revertOpal,
} satisfies Record<string, Perform>;
