import { join } from 'node:path';

import { canonicalJson } from '../../evidence/canonical.ts';
import { judgeEvidence } from '../../evidence/judge.ts';
import type { Envelope } from '../../evidence/record.ts';
import { makeKey, publicKeyOf, publicKeyPem, recordHash, signRecord } from '../../evidence/sign.ts';
import type { JsonObject, NodeRecord } from '../store/node.ts';
import type { DriveDeps } from './deps.ts';
import { driveFailure } from './failures.ts';
import { setInfo } from './node-change.ts';

/** Envelopes among what a step says of each disk; agents other than Ingot's have none. */
function envelopesOf(result: unknown): Envelope[] {
  if (typeof result !== 'object' || result === null) return [];
  const found = Object.values(result).filter(
    (value): value is Envelope =>
      typeof value === 'object' && value !== null && 'record' in value && 'signature' in value,
  );
  const sequence = ({ record }: Envelope) => (record?.format === 'ingot.erase/1' ? record.sequence : -1);
  return found.toSorted((a, b) => sequence(a) - sequence(b));
}

/** The conductor's own key, made at the first evidence; its public half lies beside it for auditors. */
async function conductorKey({ os, settings }: DriveDeps): Promise<string> {
  const path = join(settings.evidenceDirectory, 'key.pem');
  try {
    return Buffer.from(await os.readFile(path)).toString('utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const key = makeKey();
    await os.writeFile(path, Buffer.from(key), 0o600);
    await os.writeFile(
      join(settings.evidenceDirectory, 'conductor.pem'),
      Buffer.from(publicKeyPem(publicKeyOf(key))),
      0o644,
    );
    return key;
  }
}

function lines(envelopes: readonly Envelope[]): string {
  return envelopes.map((envelope) => `${canonicalJson(envelope)}\n`).join('');
}

/**
 * Keeps the evidence that a step brought, with a receipt of our own behind it.
 * @param result what the step returned, or had done when it failed
 * @throws Failure `EVIDENCE` when it is not valid: a disk of which that is said is not erased
 */
export async function keepEvidence(deps: DriveDeps, node: NodeRecord, result: unknown): Promise<void> {
  const envelopes = envelopesOf(result);
  const [first] = envelopes;
  if (first === undefined) return;
  const nonce = node.driver_internal_info.ingot_evidence_nonce ?? null;
  const { faults } = judgeEvidence(lines(envelopes), nonce === null ? {} : { nonce });
  if (faults.length > 0) throw driveFailure('EVIDENCE', faults.join('; '));
  const stamp = new Date(deps.os.clock.now()).toISOString();
  const receipt = signRecord(
    {
      format: 'ingot.receipt/1',
      node_uuid: node.uuid,
      nonce,
      received_at: stamp,
      agent_key: first.signature.public_key,
      records: envelopes.map(({ record }) => recordHash(record)),
    },
    await conductorKey(deps),
  );
  const path = join(deps.settings.evidenceDirectory, node.uuid, `${stamp.replaceAll(':', '-')}.jsonl`);
  await deps.os.writeFile(path, Buffer.from(lines([...envelopes, receipt])), 0o600);
  setInfo(deps, node.uuid, { ingot_evidence: path } satisfies JsonObject);
  deps.log.info({ node: node.name ?? node.uuid, path }, 'evidence of erased disks');
}
