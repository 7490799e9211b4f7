import type { ImageName } from './images.ts';

/** Somebody who writes images, or a single stage of that, as a command of bash. */
export type Contender = {
  name: string;
  description: string;
  /** By image; those that it cannot write are missing. */
  commands: Partial<Record<ImageName, string>>;
  /** Puts this file into a tmpfs, which is memory, too. */
  usesMemoryFile?: boolean;
  /** Leaves the whole disk on the device. A stage does not. */
  writesDisk: boolean;
};

const DD = 'dd of="$TARGET" bs=4M iflag=fullblock oflag=direct conv=notrunc,fsync status=none';
const CHECK = 'test "$(cut -c -64 "$WORK/sum")" = "$SHA256"';

/** bash does not wait for `>(sha256sum)` of a pipeline, nor counts its time; a pipe with a name is the same and can be waited for. */
const teeDd = (decompress: string) =>
  [
    'rm -f "$WORK/pipe"',
    'mkfifo "$WORK/pipe"',
    '{ sha256sum < "$WORK/pipe" > "$WORK/sum" & HASH=$!; }',
    `curl -sSf "$URL" | tee "$WORK/pipe" | ${decompress}${DD}`,
    'wait $HASH',
    CHECK,
  ].join(' && ');

const every = (command: string): Contender['commands'] => ({
  raw: command,
  qcow2: command,
  'qcow2-compressed': command,
  'raw.zst': command,
});

export const OWN: Contender = {
  name: 'Ingot',
  description: 'ingot-agent write-image URL DEVICE --checksum, bundled and started as in the ramdisk',
  commands: every('"$NODE" $NODE_OPTS "$AGENT" write-image "$URL" "$TARGET" --checksum "sha256:$SHA256" --quiet'),
  writesDisk: true,
};

const ipa = (format: string) =>
  [
    'curl -sSf "$URL" | tee "$MEMORY/image" | openssl dgst -sha256 -r > "$WORK/sum"',
    CHECK,
    `qemu-img convert -f ${format} -O raw -n -t directsync -S 0 -W "$MEMORY/image" "$TARGET"`,
    'rm "$MEMORY/image"',
  ].join(' && ');

const qemuImg = (format: string) => `qemu-img convert -f ${format} -O raw -n -t none -W "$FILE" "$TARGET"`;

/** Each is given the better of two where there is a doubt: the hash runs beside the download, and is OpenSSL's. */
export const PEERS: readonly Contender[] = [
  {
    name: 'IPA’s way',
    description: 'download into a tmpfs, hash, qemu-img convert -t directsync -S 0 -W',
    commands: { raw: ipa('raw'), qcow2: ipa('qcow2'), 'qcow2-compressed': ipa('qcow2') },
    usesMemoryFile: true,
    writesDisk: true,
  },
  {
    name: 'curl|tee|dd',
    description: 'curl | tee >(sha256sum) | dd oflag=direct',
    commands: {
      raw: teeDd(''),
      'raw.zst': teeDd('zstd -dcq | '),
    },
    writesDisk: true,
  },
  {
    name: 'bmaptool',
    description: 'bmaptool copy --bmap FILE URL DEVICE',
    commands: {
      raw: '$BMAPTOOL copy --bmap "$BMAP" "$URL" "$TARGET"',
      'raw.zst': '$BMAPTOOL copy --bmap "$BMAP" "$URL" "$TARGET"',
    },
    writesDisk: true,
  },
  {
    name: 'qemu-img',
    description: 'qemu-img convert -t none -W from a local copy, unverified',
    commands: { raw: qemuImg('raw'), qcow2: qemuImg('qcow2'), 'qcow2-compressed': qemuImg('qcow2') },
    writesDisk: true,
  },
];

/** The floor is the slowest of the first three. */
export const STAGES: readonly Contender[] = [
  {
    name: 'HTTP to nowhere',
    description: 'curl -o /dev/null',
    commands: every('curl -sSf -o /dev/null "$URL"'),
    writesDisk: false,
  },
  {
    name: 'hash alone',
    description: 'openssl dgst -sha256',
    commands: every('openssl dgst -sha256 "$FILE"'),
    writesDisk: false,
  },
  {
    name: 'dd alone',
    description: 'dd oflag=direct of as many bytes as the disk has data (the sparse qcow2 file)',
    commands: every(`${DD} if="$DATA"`),
    writesDisk: false,
  },
];

/** Not part of the floor, but of an explanation. */
export const EXTRA_STAGES: readonly Contender[] = [
  {
    name: 'decompress alone',
    description: 'zstd -dc to nowhere, qemu-img convert to a null device',
    commands: {
      'raw.zst': 'zstd -dcq "$FILE" > /dev/null',
      'qcow2-compressed':
        'qemu-img convert -n -f qcow2 -W "$FILE" --target-image-opts driver=null-co,size="$VIRTUAL",read-zeroes=on',
    },
    writesDisk: false,
  },
];
