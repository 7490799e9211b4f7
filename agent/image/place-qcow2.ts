import { AgentError } from '../api/errors.ts';
import { type Block, BLOCK_BYTES } from './blocks.ts';
import { createRing, type Flow, type Ring } from './flow.ts';
import type { Placer } from './place-raw.ts';
import { type Placement, PLACEMENT_KINDS } from './placements.ts';
import { refuseImage } from './qcow2-header.ts';
import { createTableHashes, type Qcow2Map } from './qcow2-tables.ts';
import type { Packed, Unpacker } from './unpacker.ts';
import type { WithheldDevice } from './withheld.ts';

/** Batches that are unpacked and written at a time. */
const OUTPUTS = 6;
/** Plain clusters between compressed ones are copied to be written with them, up to this length. */
const MOST_COPIED_BYTES = 256 * 1024;

const HASHED_KINDS = {
  [PLACEMENT_KINDS.header]: 'header',
  [PLACEMENT_KINDS.l1]: 'l1',
  [PLACEMENT_KINDS.l2]: 'l2',
} as const;

/** A stretch of the guest, and where in the output its bytes are. */
type Stretch = { guest: number; at: number; length: number };

/** What is unpacked at once: pieces of one block that follow each other, and one that began in the block before. */
type Batch = { pieces: Packed[]; stretches: Stretch[]; bytes: number };

type State = {
  map: Qcow2Map;
  device: WithheldDevice;
  flow: Flow;
  unpacker: Unpacker;
  outputBytes: number;
  outputs: Ring | undefined;
  batch: Batch;
  hashes: ReturnType<typeof createTableHashes>;
  /** The placements that are still to come, the one that is worked on, and how many of its bytes came. */
  coming: Iterator<Placement, undefined>;
  current: Placement | undefined;
  done: number;
  /** Beginning of a compressed cluster whose end is in a later block. */
  begun: Buffer[];
};

function next(state: State): void {
  state.current = state.coming.next().value;
  state.done = 0;
  state.begun = [];
}

function emptyBatch(): Batch {
  return { pieces: [], stretches: [], bytes: 0 };
}

/** @param release called when the pieces are no longer read */
async function unpackBatch(state: State, batch: Batch, output: Buffer, release: () => void): Promise<void> {
  const { sizeBytes } = state.map.header;
  await state.unpacker.unpack(batch.pieces, output.subarray(0, batch.bytes)).finally(release);
  for (const { guest, at, length } of batch.stretches)
    await state.device.write(output.subarray(at, at + Math.min(length, sizeBytes - guest)), guest);
}

/** Unpacks and writes what was gathered. Waits for an output: there are few of them, and their memory goes round. */
async function startBatch(state: State, block: Block | undefined): Promise<void> {
  const { batch } = state;
  if (batch.pieces.length === 0) return;
  state.batch = emptyBatch();
  const outputs = (state.outputs ??= createRing(OUTPUTS, state.outputBytes));
  const output = await outputs.take();
  let isStarted = false;
  block?.hold();
  const release = () => block?.release();
  try {
    await state.flow.start(1, () => unpackBatch(state, batch, output, release).finally(() => outputs.giveBack(output)));
    isStarted = true;
  } finally {
    if (!isStarted) {
      release();
      outputs.giveBack(output);
    }
  }
}

/** Adds to what is unpacked together. Neighbours in the guest are written at once. */
async function gather(state: State, piece: Packed, guest: number, length: number, block?: Block): Promise<void> {
  if (state.batch.bytes + length > state.outputBytes) await startBatch(state, block);
  const { batch } = state;
  const last = batch.stretches.at(-1);
  if (last && last.guest + last.length === guest) last.length += length;
  else batch.stretches.push({ guest, at: batch.bytes, length });
  batch.pieces.push(piece);
  batch.bytes += length;
}

async function startData(state: State, bytes: Buffer, guest: number, release: () => void): Promise<void> {
  await state.flow.start(bytes.length, async () => {
    try {
      await state.device.write(bytes, guest);
    } finally {
      release();
    }
  });
}

async function takePart(state: State, placement: Placement, part: Buffer, block: Block): Promise<void> {
  const { kind, guest, length } = placement;
  const { clusterBytes } = state.map.header;
  if (kind === PLACEMENT_KINDS.data) {
    const isBetween = state.batch.pieces.length > 0 && part.length <= MOST_COPIED_BYTES;
    if (isBetween) await gather(state, { bytes: part, isCompressed: false }, guest + state.done, part.length, block);
    else {
      block.hold();
      await startData(state, part, guest + state.done, block.release);
    }
  } else if (kind === PLACEMENT_KINDS.compressed) {
    const isWhole = state.done + part.length === length;
    // The block goes round before the rest comes.
    if (!isWhole) state.begun.push(Buffer.from(part));
    else {
      const bytes = state.begun.length === 0 ? part : Buffer.concat([...state.begun, part]);
      await gather(state, { bytes, isCompressed: true }, guest, clusterBytes, block);
    }
  } else if (kind !== PLACEMENT_KINDS.refcounts)
    state.hashes[HASHED_KINDS[kind as keyof typeof HASHED_KINDS]].update(part);
}

/**
 * One placement after the other, in file order. Packed compressed clusters may share a sector; blocks are whole sectors, so what
 * begins in a block that is gone cannot be but in a damaged file.
 */
async function placeBlock(state: State, block: Block): Promise<void> {
  const end = block.position + block.bytes.length;
  for (;;) {
    const placement = state.current;
    if (!placement || placement.host + state.done >= end) break;
    const from = placement.host + state.done;
    if (from < block.position) throw refuseImage(`two parts of it overlap at byte ${from} of the file`);
    const to = Math.min(end, placement.host + placement.length);
    await takePart(state, placement, block.bytes.subarray(from - block.position, to - block.position), block);
    state.done += to - from;
    if (state.done < placement.length) break;
    next(state);
  }
  await startBatch(state, block);
}

/**
 * Clusters at the end of the file may be cut short: what is missing of data reads as zeros, as in QEMU; of the last sector of a
 * compressed cluster nothing is needed.
 */
async function finish(state: State, fileBytes: number): Promise<void> {
  for (let placement = state.current; placement; placement = state.current) {
    const { kind, host, length, guest } = placement;
    const missing = host + length - fileBytes;
    if (kind === PLACEMENT_KINDS.data && host < fileBytes)
      await state.device.zero(guest + state.done, length - state.done);
    else if (kind === PLACEMENT_KINDS.compressed && missing < 512 && missing < length)
      await gather(
        state,
        { bytes: Buffer.concat(state.begun), isCompressed: true },
        guest,
        state.map.header.clusterBytes,
      );
    else throw refuseImage(`its file ends at byte ${fileBytes}, before all of its clusters`);
    next(state);
  }
  await startBatch(state, undefined);
  for (const [kind, digest] of Object.entries(state.map.tableDigests))
    if (state.hashes[kind as keyof typeof state.hashes].digest('hex') !== digest)
      throw new AgentError(
        'ImageDownloadError',
        `cannot use the qcow2 image: its ${kind} differed between two reads; the file changed, or the server is broken`,
      );
}

/** Puts every cluster of the stream where the tables say, and hashes the tables as they pass. */
export function createQcow2Placer(map: Qcow2Map, device: WithheldDevice, flow: Flow, unpacker: Unpacker): Placer {
  const state: State = {
    map,
    device,
    flow,
    unpacker,
    outputBytes: Math.max(BLOCK_BYTES, map.header.clusterBytes),
    outputs: undefined,
    batch: emptyBatch(),
    hashes: createTableHashes(),
    coming: map.placements.inFileOrder(),
    current: undefined,
    done: 0,
    begun: [],
  };
  next(state);
  let fileBytes = 0;
  return {
    place: async (block) => {
      try {
        await placeBlock(state, block);
        fileBytes = block.position + block.bytes.length;
      } finally {
        block.release();
      }
    },
    finish: () => finish(state, fileBytes),
    close: () => unpacker.close(),
  };
}
