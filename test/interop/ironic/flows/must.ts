import { interopFailure } from '../failures.ts';
import type { World } from '../world.ts';

/** @throws Failure `NODE_STATE` that shows both values */
export function mustBe(what: string, actual: unknown, wanted: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(wanted))
    throw interopFailure('NODE_STATE', `${what} is ${JSON.stringify(actual)}, and should be ${JSON.stringify(wanted)}`);
}

/** Checks where the node is, and that nothing went wrong on the way. */
export async function mustBeIn({ client }: World, provision: string): Promise<void> {
  const node = await client.node();
  mustBe('provision_state', node?.provision_state, provision);
  mustBe('last_error', node?.last_error, null);
}
