import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';

import { AgentError } from '../api/errors.ts';
import { reasonOf } from '../../system/failure.ts';

/** Options as IPA takes them: text, or a list of texts; either way they are split at blanks. */
export const OptionsSchema = Type.Union([Type.Null(), Type.String(), Type.Array(Type.String())]);
export type Options = Static<typeof OptionsSchema> | undefined;

const ContainerStepSchema = Type.Object({
  name: Type.String({ pattern: '^[^_]', minLength: 1 }),
  image: Type.String({ minLength: 1 }),
  /** Of automated cleaning; in the other kinds such a step only runs when somebody asks for it. */
  priority: Type.Integer({ minimum: 0 }),
  interface: Type.String({ minLength: 1 }),
  reboot_requested: Type.Boolean(),
  abortable: Type.Boolean(),
  pull_options: Type.Optional(OptionsSchema),
  run_options: Type.Optional(OptionsSchema),
});
export type ContainerStep = Static<typeof ContainerStepSchema>;

function unusable(detail: string): AgentError {
  return new AgentError('HardwareManagerConfigurationError', detail);
}

export function optionWords(options: Options): string[] {
  const texts = typeof options === 'string' ? [options] : (options ?? []);
  return texts.flatMap((text) => text.split(/\s+/).filter((word) => word !== ''));
}

/**
 * Steps of the YAML file `[container] container_steps_file`: a mapping whose `steps` are a list.
 * @param taken names of steps that are not containers'; a container must not stand in for one of them
 * @throws AgentError `HardwareManagerConfigurationError` that names the file and what is wrong
 */
export async function readContainerSteps(
  text: string,
  file: string,
  taken: ReadonlySet<string>,
): Promise<ContainerStep[]> {
  // Few ramdisks have such a file; the others need not load what reads it.
  const { parse } = await import('yaml');
  let data: unknown;
  try {
    data = parse(text, { schema: 'core' });
  } catch (error) {
    throw unusable(`cannot read container steps from ${file}: ${reasonOf(error)}`);
  }
  if (data === null || data === undefined) return [];
  const steps = Value.Check(Type.Object({ steps: Type.Optional(Type.Unknown()) }), data)
    ? (data.steps ?? [])
    : undefined;
  if (!Array.isArray(steps)) throw unusable(`cannot use container steps of ${file}: it needs a list called "steps"`);
  const names = new Set(taken);
  return steps.map((step: unknown, index) => {
    const name = Value.Check(Type.Object({ name: Type.String() }), step) ? step.name : `number ${index + 1}`;
    if (!Value.Check(ContainerStepSchema, step)) {
      const [first] = Value.Errors(ContainerStepSchema, step);
      const where = first?.instancePath.replace(/^\//, '');
      throw unusable(
        `cannot use container step ${name} of ${file}: ${where ? `${where} ` : ''}${first?.message ?? 'is not valid'}`,
      );
    }
    if (names.has(name)) throw unusable(`cannot use container step ${name} of ${file}: there is another step ${name}`);
    names.add(name);
    return step;
  });
}

/**
 * Where two references are of one image they are the same text. Only names of registries may be looked through: of a local store,
 * anything may lie there under a name that is allowed.
 */
function imageName(reference: string): string {
  return reference.replace(/^(docker|oci):\/\//, '');
}

export function isAllowed(image: string, allowed: readonly string[]): boolean {
  return allowed.some((one) => imageName(one) === imageName(image));
}
