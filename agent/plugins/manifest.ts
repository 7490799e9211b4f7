import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';

import { Failure, reasonOf } from '../../system/failure.ts';

/** Interfaces that Ironic has steps of (its `conductor/steps.py`). */
const INTERFACES = ['bios', 'deploy', 'firmware', 'management', 'power', 'raid', 'vendor'] as const;

const Priority = Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 }));

/** Words apart by blanks; a first word without a slash is a program beside the manifest. There is no shell. */
const Words = Type.String({ pattern: String.raw`^\S+( \S+)*$` });

const PluginStepSchema = Type.Object(
  {
    step: Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }),
    /** `deploy` unless said. */
    interface: Type.Optional(Type.Enum([...INTERFACES])),
    /** For each kind of step that it is: 0 runs only when somebody asks for it. */
    priorities: Type.Object({ clean: Priority, deploy: Priority, service: Priority }, { additionalProperties: false }),
    argsinfo: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }),
        Type.Object(
          { description: Type.String({ minLength: 1 }), required: Type.Optional(Type.Boolean()) },
          { additionalProperties: false },
        ),
      ),
    ),
    /** Ironic reboots the machine after it. */
    reboot_requested: Type.Optional(Type.Boolean()),
    /** Ironic may end the cleaning while it runs. */
    abortable: Type.Optional(Type.Boolean()),
    /** Seconds; 3600 unless said, 0 for no limit. */
    timeout: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
  },
  { additionalProperties: false },
);
export type PluginStep = Static<typeof PluginStepSchema>;

/** A manifest, `steps.d/NAME.json`. */
export const ManifestSchema = Type.Object(
  {
    /** Ironic asks for the steps anew when it changes. */
    version: Type.String({ minLength: 1 }),
    /** 1 any machine, 2 hardware of this kind, 3 the site's own; 3 unless said. */
    support: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    /** Ends with 0 on a machine that has such hardware, with 1 on one that has not. Every machine has it unless said. */
    detect: Type.Optional(Words),
    /** Gets the step's name as its last argument. */
    run: Words,
    steps: Type.Array(PluginStepSchema, { minItems: 1 }),
  },
  { additionalProperties: false },
);
export type Manifest = Static<typeof ManifestSchema>;

function invalid(detail: string): Failure {
  return new Failure('PLUGIN_INVALID', detail);
}

/**
 * Text of a manifest to what it says.
 * @throws Failure `PLUGIN_INVALID` that names the first field that is wrong
 */
export function readManifest(text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(`it is no JSON: ${reasonOf(error)}`);
  }
  if (!Value.Check(ManifestSchema, value)) {
    const [first] = Value.Errors(ManifestSchema, value);
    const where = first?.instancePath.replace(/^\//, '').replaceAll('/', '.');
    // What TypeBox says of a field that no schema has.
    const what = first?.message === 'schema is false' ? 'is no field of a manifest' : first?.message;
    throw invalid(`${where ? `${where} ` : ''}${what ?? 'is not valid'}`);
  }
  const names = value.steps.map((one) => one.step);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalid(`it has two steps ${twice}`);
  const idle = value.steps.find((one) => Object.keys(one.priorities).length === 0);
  if (idle !== undefined) throw invalid(`step ${idle.step} is of no kind: priorities are empty`);
  return value;
}

/** A manifest's words as a program with its arguments. */
export function commandOf(words: string, folder: string): [string, ...string[]] {
  const [first = '', ...rest] = words.split(' ');
  return [first.includes('/') ? first : `${folder}/${first}`, ...rest];
}
