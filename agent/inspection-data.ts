import { type CollectorParts, type CollectorSpec, COLLECTORS } from './collectors.ts';
import { reasonOf } from '../system/failure.ts';

/** What is collected where nobody asks for something else, as in IPA. */
const USUAL = ['default', 'logs'];

/** The bullet list that Ironic shows to the operator. */
function errorList(errors: readonly string[]): string | null {
  if (errors.length === 0) return null;
  return `The following errors were encountered:\n${errors.map((text) => `* ${text}`).join('\n')}`;
}

/**
 * The body of an inspection. A collector that fails, or that nobody knows, is named in `error`, which makes the inspection fail in
 * Ironic, where the operator sees it; the others still run. (For an unknown one IPA posts the error alone: without an inventory
 * Ironic cannot tell whose it is, and the node waits for its timeout.)
 * @param wanted names of ipa-inspection-collectors; default and logs when there are none
 */
export async function inspectionData(
  wanted: readonly string[],
  parts: Omit<CollectorParts, 'names'>,
  table: readonly CollectorSpec[] = COLLECTORS,
): Promise<Record<string, unknown> & { error: string | null }> {
  const names = [...new Set(wanted.length > 0 ? wanted : USUAL)];
  const errors: string[] = [];
  const note = (error: string) => {
    errors.push(error);
    parts.log(`inspection: ${error}`);
  };
  let data: Record<string, unknown> = {};
  // What the others say to the log is to be in the archive.
  for (const name of names.toSorted((a, b) => Number(a === 'logs') - Number(b === 'logs'))) {
    const spec = table.find((candidate) => candidate.name === name);
    if (spec === undefined) {
      note(`no collector is called ${name}; there are ${table.map((known) => known.name).join(', ')}`);
      continue;
    }
    try {
      data = { ...data, ...(await spec.run({ ...parts, names })) };
    } catch (error) {
      parts.signal.throwIfAborted();
      note(`collector ${name} failed: ${reasonOf(error)}`);
    }
  }
  return { ...data, error: errorList(errors) };
}
