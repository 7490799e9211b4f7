import { METHOD_CLAIMS } from '../../evidence/methods.ts';
import { CATEGORIES, type EraseRecord } from '../../evidence/record.ts';
import type { MethodSpec, Subject } from './method-spec.ts';
import { METHODS } from './methods.ts';

export type EraseStep = 'erase_devices' | 'erase_devices_express' | 'erase_devices_metadata';

/** Both as they stand in the evidence. */
export type Plan = EraseRecord['plan'] & {
  /** Why the disk cannot be erased as the operator wants it; then there are no methods. */
  refusal: string | undefined;
};

/** What express may do: within minutes, whatever its strength (agent-protocol F.3). */
const EXPRESS = new Set(['nvme-format-crypto', 'nvme-format-user-data', 'discard', 'metadata']);
/** These leave data behind or may do so; they are no erase of a whole disk unless somebody names them. */
const ONLY_NAMED = new Set(['discard', 'metadata']);

/** Category first; of one category what the device does by itself is stronger than our writing to what it lets us see. */
function strength({ name, isDevices }: MethodSpec): number {
  return CATEGORIES.indexOf(METHOD_CLAIMS[name].category) * 2 + Number(isDevices);
}

function candidates({ settings }: Subject, step: EraseStep): { among: MethodSpec[]; others: Plan['excluded'] } {
  if (settings.method !== null) return { among: METHODS.filter(({ name }) => name === settings.method), others: [] };
  if (step === 'erase_devices_express') return { among: METHODS.filter(({ name }) => EXPRESS.has(name)), others: [] };
  return {
    among: METHODS.filter(({ name }) => !ONLY_NAMED.has(name)),
    others: [...ONLY_NAMED].map((method) => ({ method, why: 'it leaves data behind: only when the step names it' })),
  };
}

const rounded = (minutes: number | null): number | null => (minutes === null ? null : Math.round(minutes * 10) / 10);

function reason(spec: MethodSpec, index: number, isFreeToFall: boolean): string {
  if (index === 0) return spec.isDevices ? 'the strongest that the disk has' : 'the disk offers nothing of its own';
  return isFreeToFall ? 'if what stands before it fails' : 'as strong as the one before it, should that fail';
}

/**
 * Decides how a disk is erased. Pure: the same disk, abilities and settings give the same plan, which is what a dry run prints and
 * what is carried out.
 */
export function planDisk(subject: Subject, step: EraseStep): Plan {
  const { settings } = subject;
  const { among, others } = candidates(subject, step);
  const refuse = (refusal: string, excluded: Plan['excluded']): Plan => ({ methods: [], excluded, refusal });
  if (settings.method !== null && among.length === 0)
    return refuse(
      `nobody knows the method ${settings.method}; there are ${METHODS.map(({ name }) => name).join(', ')}`,
      [],
    );
  const looked = among.map((spec) => ({ spec, found: spec.look(subject) }));
  const excluded = [
    ...others,
    ...looked.flatMap(({ spec, found }) =>
      found.state === 'available' || (found.state === 'foreign' && settings.method === null)
        ? []
        : [{ method: spec.name, why: found.why }],
    ),
  ];
  const available = looked.filter(({ found }) => found.state === 'available').map(({ spec }) => spec);
  const [first] = available;
  if (first === undefined) return refuse(excluded.map(({ method, why }) => `${method}: ${why}`).join('; '), excluded);
  const isFreeToFall = step === 'erase_devices_express' || settings.agent_continue_if_secure_erase_failed;
  const best = Math.max(
    ...looked
      .filter(({ found }) => found.state === 'available' || found.state === 'blocked')
      .map(({ spec }) => strength(spec)),
  );
  const usable = available.filter((spec) => isFreeToFall || strength(spec) === best);
  for (const spec of available.filter((one) => !usable.includes(one)))
    excluded.push({
      method: spec.name,
      why: 'weaker than what the disk has, and agent_continue_if_secure_erase_failed is not true',
    });
  if (usable.length === 0) {
    const inTheWay = looked.flatMap(({ spec, found }) =>
      found.state === 'blocked' ? [`${spec.name}: ${found.why}`] : [],
    );
    return refuse(
      `${inTheWay.join('; ')}; or allow weaker methods with agent_continue_if_secure_erase_failed`,
      excluded,
    );
  }
  const methods = usable.map((spec, index) => ({
    method: spec.name,
    category: METHOD_CLAIMS[spec.name].category,
    reason: reason(spec, index, isFreeToFall && strength(spec) < best),
    minutes: rounded(spec.minutes(subject)),
  }));
  return { methods, excluded, refusal: undefined };
}
