import { leaveBehind } from '../../system/collect.ts';
import { AgentError } from '../api/errors.ts';
import type { Block } from './blocks.ts';
import { decompressCluster } from './qcow2-cluster.ts';
import type { Flow } from './flow.ts';
import type { Placer } from './place-raw.ts';
import { type Placement, PLACEMENT_KINDS } from './placements.ts';
import { refuseImage } from './qcow2-header.ts';
import { createTableHashes, type Qcow2Map } from './qcow2-tables.ts';
import type { WithheldDevice } from './withheld.ts';

/** Least that a cluster counts while it is unpacked and written, so that few are at a time: each leaves buffers to be collected. */
const UNPACKING_BYTES = 1024 ** 2;

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

async function startCompressed(state: State, compressed: Buffer, guest: number, release?: () => void): Promise<void> {
  const { compression, clusterBytes, sizeBytes } = state.map.header;
  await state.flow.start(Math.max(UNPACKING_BYTES, compressed.length + 2 * clusterBytes), async () => {
    try {
      const cluster = await decompressCluster(compression, compressed, clusterBytes);
      await state.device.write(cluster.subarray(0, sizeBytes - guest), guest);
      leaveBehind(compressed.length + cluster.length);
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
    if (!placement || placement.host + state.done >= end) return;
    const from = placement.host + state.done;
    if (from < block.position) throw refuseImage(`two parts of it overlap at byte ${from} of the file`);
    const to = Math.min(end, placement.host + placement.length);
    await takePart(state, placement, block.bytes.subarray(from - block.position, to - block.position), block);
    state.done += to - from;
    if (state.done < placement.length) return;
    next(state);
  }
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
      await startCompressed(state, Buffer.concat(state.begun), guest);
    else throw refuseImage(`its file ends at byte ${fileBytes}, before all of its clusters`);
    next(state);
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
  };
}
