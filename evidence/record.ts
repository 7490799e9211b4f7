import { Type, type Static, type TProperties } from 'typebox';

/** Nothing may stand in evidence that its reader does not know: unknown members are refused everywhere. */
const strict = <T extends TProperties>(properties: T) => Type.Object(properties, { additionalProperties: false });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);
const text = Type.String();
const bytes = Type.Integer({ minimum: 0 });
const count = Type.Integer({ minimum: 0 });
const instant = Type.String({ pattern: String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$` });
const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });

/** NIST SP 800-88: what a method may claim at most. `none`: what was on the disk can be read with ordinary means in part. */

const category = Type.Union([Type.Literal('none'), Type.Literal('clear'), Type.Literal('purge')]);
export type Category = Static<typeof category>;
/** From the weakest. */
export const CATEGORIES: readonly Category[] = ['none', 'clear', 'purge'];

/** What the disk has to read back as: zeros; our own pattern; anything but what was there before; zeros at its ends alone. */
const expectation = Type.Union([
  Type.Literal('zeros'),
  Type.Literal('pattern'),
  Type.Literal('changed'),
  Type.Literal('ends-zero'),
]);
export type Expectation = Static<typeof expectation>;

const PlannedSchema = strict({
  method: text,
  category,
  /** Why it stands here. */
  reason: text,
  /** Minutes that it is expected to take; null where nobody knows. */
  minutes: orNull(Type.Number({ minimum: 0 })),
});

const CommandSchema = strict({
  command: text,
  /** Null when it could not be started, or was ended by a signal. */
  exit_code: orNull(Type.Integer()),
  started_at: instant,
  milliseconds: count,
  /** The end of what it said. */
  output: text,
});

const RangeSchema = strict({ position: bytes, bytes });

const AttemptSchema = strict({
  method: text,
  category,
  started_at: instant,
  ended_at: instant,
  outcome: Type.Union([Type.Literal('done'), Type.Literal('failed')]),
  why: orNull(text),
  commands: Type.Array(CommandSchema),
  /** Of our own overwriting alone. */
  written: orNull(
    strict({
      passes: Type.Array(text),
      bytes,
      /** Past the page cache (O_DIRECT). */
      direct: Type.Boolean(),
      block_bytes: bytes,
      unwritable: Type.Array(RangeSchema),
    }),
  ),
  /** Times at which the work stood still because the machine did: power cuts, restarts. */
  gaps: Type.Array(
    strict({ interrupted_after: orNull(instant), resumed_at: instant, position: orNull(bytes), how: text }),
  ),
});

const VerificationSchema = strict({
  expectation,
  /** From it positions and canaries follow, by evidence/samples.ts. 32 bytes, hex. */
  seed: sha256,
  block_bytes: bytes,
  /** One of each of as many equal parts of the disk; the first and the last block are among them. */
  samples: count,
  /** Canaries were written to all these places before, and read back. */
  canaries: Type.Boolean(),
  canaries_sha256: orNull(sha256),
  /** Of all blocks, in the order of their positions. */
  read_sha256: sha256,
  all_zero: count,
  direct: Type.Boolean(),
  /** Positions that did not read back as they had to, or could not be read; at most 16 are named. */
  wrong: count,
  wrong_at: Type.Array(strict({ position: bytes, why: text })),
  /**
   * Blocks that were read before canaries were written and after the erase: those of the samples, and one more of each part, to which
   * nothing was written. Absent in evidence of older agents, and of methods that write to the whole disk.
   */
  witnesses: Type.Optional(
    strict({
      samples: count,
      /** Of them, those that held something to know them by: blank ones say nothing. */
      held: count,
      /** Of those, the ones in which a sector is as it was. */
      unchanged: count,
    }),
  ),
  /** If so much of the disk or more had been left, the samples would have met it with a probability of 99 %. */
  would_find_fraction: Type.Number({ minimum: 0, maximum: 1 }),
});
export type Verification = Static<typeof VerificationSchema>;

export const EraseRecordSchema = strict({
  format: Type.Literal('ingot.erase/1'),
  /** Counts the records that were signed with one key, from 0. */
  sequence: count,
  /** SHA-256 of the canonical text of the record before, null for the first. */
  previous: orNull(sha256),
  step: text,
  /** Chosen by whoever asked for it, so that old evidence cannot be shown for new. */
  nonce: orNull(text),
  node: strict({ uuid: text, serial: orNull(text), vendor: orNull(text), product: orNull(text) }),
  agent: strict({ version: text, boot_id: orNull(text) }),
  disk: strict({
    path: text,
    model: orNull(text),
    serial: orNull(text),
    wwn: orNull(text),
    vendor: orNull(text),
    firmware: orNull(text),
    transport: orNull(text),
    by_path: orNull(text),
    size_bytes: bytes,
    logical_sector_bytes: bytes,
    physical_sector_bytes: orNull(bytes),
    rotational: orNull(Type.Boolean()),
  }),
  /** As read from the disk: words of the device beside what was made of them. */
  capabilities: Type.Record(text, Type.Unknown()),
  /** Parts of the medium that ordinary commands do not reach. */
  hidden: strict({ hpa: text, dco: text }),
  settings: Type.Record(text, Type.Unknown()),
  plan: strict({
    methods: Type.Array(PlannedSchema),
    /** Methods that were looked at and are not in the plan. */
    excluded: Type.Array(strict({ method: text, why: text })),
  }),
  started_at: instant,
  ended_at: instant,
  attempts: Type.Array(AttemptSchema),
  verification: orNull(VerificationSchema),
  result: Type.Union([Type.Literal('erased'), Type.Literal('failed')]),
  /** Why it failed; null when it did not. */
  failure: orNull(text),
  category,
  category_why: text,
});
/** What happened to one disk. */
export type EraseRecord = Static<typeof EraseRecordSchema>;
export type Attempt = EraseRecord['attempts'][number];

export const ReceiptSchema = strict({
  format: Type.Literal('ingot.receipt/1'),
  node_uuid: text,
  nonce: orNull(text),
  received_at: instant,
  /** The key that the agent had signed with when it handed these records over by its own, authenticated connection. */
  agent_key: text,
  /** SHA-256 of each record's canonical text, in the file's order. */
  records: Type.Array(sha256),
});
/** What the conductor signs for what it got. */
export type Receipt = Static<typeof ReceiptSchema>;

export const EnvelopeSchema = strict({
  record: Type.Union([EraseRecordSchema, ReceiptSchema]),
  signature: strict({
    algorithm: Type.Literal('Ed25519'),
    /** Both base64: 32 and 64 bytes (RFC 8032). */
    public_key: text,
    value: text,
  }),
});
export type Envelope = Static<typeof EnvelopeSchema>;
