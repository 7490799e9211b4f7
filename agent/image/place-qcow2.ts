import { AgentError } from '../api/errors.ts';
import type { Block } from './blocks.ts';
import { decompressCluster } from './qcow2-cluster.ts';
import type { Flow } from './flow.ts';
import type { Placer } from './place-raw.ts';
import { type Placement, PLACEMENT_KINDS } from './placements.ts';
import { refuseImage } from './qcow2-header.ts';
import { createTableHashes, type Qcow2Map } from './qcow2-tables.ts';
import type { WithheldDevice } from './withheld.ts';

const HASHED_KINDS = {
  [PLACEMENT_KINDS.header]: 'header',
  [PLACEMENT_KINDS.l1]: 'l1',
  [PLACEMENT_KINDS.l2]: 'l2',
} as const;

type State = {
  map: Qcow2Map;
  device: WithheldDevice;
  flow: Flow;
  hashes: ReturnType<typeof createTableHashes>;
  /** The placement that is worked on, as an index into `map.order`, and how many of its bytes came. */
  index: number;
  current: Placement | undefined;
  done: number;
  /** Beginning of a compressed cluster whose end is in a later block. */
  begun: Buffer[];
};

function next(state: State, index: number): void {
  const placement = state.map.order[index];
  state.index = index;
  state.current = placement === undefined ? undefined : state.map.placements.at(placement);
  state.done = 0;
  state.begun = [];
}

async function startCompressed(state: State, compressed: Buffer, guest: number, release?: () => void): Promise<void> {
  const { compression, clusterBytes, sizeBytes } = state.map.header;
  await state.flow.start(compressed.length + 2 * clusterBytes, async () => {
    try {
      const cluster = await decompressCluster(compression, compressed, clusterBytes);
      await state.device.write(cluster.subarray(0, sizeBytes - guest), guest);
    } finally {
      release?.();
    }
  });
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
  if (kind === PLACEMENT_KINDS.data) {
    block.hold();
    await startData(state, part, guest + state.done, block.release);
  } else if (kind === PLACEMENT_KINDS.compressed) {
    if (part.length === length) {
      block.hold();
      await startCompressed(state, part, guest, block.release);
    } else state.begun.push(Buffer.from(part));
    if (part.length < length && state.done + part.length === length)
      await startCompressed(state, Buffer.concat(state.begun), guest);
  } else state.hashes[HASHED_KINDS[kind as keyof typeof HASHED_KINDS]].update(part);
}

/**
 * One placement after the other, in file order. Packed compressed clusters may share a sector; blocks are whole sectors, so what
 * begins in a block that is gone cannot be but in a damaged file.
 */
async function placeBlock(state: State, block: Block): Promise<void> {
  const end = block.position + block.bytes.length;
  for (;;) {
    const placement = state.current;
    if (!placement || placement.host + state.done >= end) return;
    const from = placement.host + state.done;
    if (from < block.position) throw refuseImage(`two parts of it overlap at byte ${from} of the file`);
    const to = Math.min(end, placement.host + placement.length);
    await takePart(state, placement, block.bytes.subarray(from - block.position, to - block.position), block);
    state.done += to - from;
    if (state.done < placement.length) return;
    next(state, state.index + 1);
  }
}

/** Clusters at the end of the file may be cut short: what is missing reads as zeros, as in QEMU. */
async function finish(state: State, fileBytes: number): Promise<void> {
  for (let placement = state.current; placement; placement = state.current) {
    const isCutShort = placement.kind === PLACEMENT_KINDS.data && placement.host < fileBytes;
    if (!isCutShort) throw refuseImage(`its file ends at byte ${fileBytes}, before all of its clusters`);
    await state.device.zero(placement.guest + state.done, placement.length - state.done);
    next(state, state.index + 1);
  }
  for (const [kind, digest] of Object.entries(state.map.tableDigests))
    if (state.hashes[kind as keyof typeof state.hashes].digest('hex') !== digest)
      throw new AgentError(
        'ImageDownloadError',
        `cannot use the qcow2 image: its ${kind} differed between two reads; the file changed, or the server is broken`,
      );
}

/** Puts every cluster of the stream where the tables say, and hashes the tables as they pass. */
export function createQcow2Placer(map: Qcow2Map, device: WithheldDevice, flow: Flow): Placer {
  const state: State = {
    map,
    device,
    flow,
    hashes: createTableHashes(),
    index: 0,
    current: undefined,
    done: 0,
    begun: [],
  };
  next(state, 0);
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
  };
}
