import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';

type Member = { name: string; fields: string; content: Buffer };

/** The members of a cpio archive in newc form, in their order. */
function* members(archive: Buffer): Generator<Member> {
  for (let at = 0; at + 110 <= archive.length;) {
    const fields = archive.toString('latin1', at, at + 110);
    if (!fields.startsWith('070701')) return;
    const number = (index: number) => Number.parseInt(fields.slice(6 + 8 * index, 14 + 8 * index), 16);
    const [size, nameSize] = [number(6), number(11)];
    const name = archive.toString('utf8', at + 110, at + 110 + nameSize - 1);
    const start = (at + 110 + nameSize + 3) & ~3;
    yield { name, fields, content: archive.subarray(start, start + size) };
    at = (start + size + 3) & ~3;
    if (name === 'TRAILER!!!') return;
  }
}

/** What differs first between two archives; undefined when nothing does. */
export function firstDifference(one: Buffer, other: Buffer): string | undefined {
  const [left, right] = [members(one), members(other)];
  for (;;) {
    const [a, b] = [left.next().value, right.next().value] as [Member | undefined, Member | undefined];
    if (a === undefined && b === undefined) return one.equals(other) ? undefined : 'the padding at the end';
    if (a?.name !== b?.name) return `/${a?.name ?? '(nothing)'} in one, /${b?.name ?? '(nothing)'} in the other`;
    if (a?.fields !== b?.fields) return `/${a?.name}: mode, owner, time, size or place: ${a?.fields} and ${b?.fields}`;
    if (a !== undefined && b !== undefined && !a.content.equals(b.content)) {
      const at = a.content.findIndex((byte, index) => byte !== b.content[index]);
      return `/${a.name}: its byte ${at}`;
    }
  }
}

type Layers = { initramfs: { layers: { name: string; bytes: number }[] } };

async function readBuild(name: string) {
  const manifest = JSON.parse(await readFile(`${name}.manifest.json`, 'utf8')) as Layers;
  return { bytes: await readFile(`${name}.initramfs`), layers: manifest.initramfs.layers };
}

/**
 * What differs first in the initramfs of two builds whose layers are plain or zstd; undefined when nothing does.
 * @param names paths of their results without endings
 */
export async function firstDifferentPath(...names: [string, string]): Promise<string | undefined> {
  const [one, other] = (await Promise.all(names.map(readBuild))) as [
    Awaited<ReturnType<typeof readBuild>>,
    Awaited<ReturnType<typeof readBuild>>,
  ];
  const unpack = promisify(zstdDecompress);
  const plain = async (bytes: Buffer) => (bytes.readUInt32LE(0) === 0xfd_2f_b5_28 ? unpack(bytes) : bytes);
  let [a, b] = [0, 0];
  for (const [index, layer] of one.layers.entries()) {
    const peer = other.layers[index];
    if (peer?.name !== layer.name) return `layer ${layer.name} in one, ${peer?.name ?? 'nothing'} in the other`;
    const [left, right] = [one.bytes.subarray(a, a + layer.bytes), other.bytes.subarray(b, b + peer.bytes)];
    [a, b] = [a + layer.bytes, b + peer.bytes];
    if (left.equals(right)) continue;
    return `layer ${layer.name}: ${firstDifference(await plain(left), await plain(right)) ?? 'its compression'}`;
  }
  return undefined;
}
