import type { ShownDisk, ShownDisks } from './disks-command.ts';

function size(bytes: number): string {
  return bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}

const joined = (...parts: (string | null | undefined | false)[]): string => parts.filter(Boolean).join('  ');

const KINDS = { disk: false, multipath: 'multipath', array: 'software RAID' } as const;

function headline({ disk: { disk, kind, isReadOnly, isRemovable } }: ShownDisk): string {
  return joined(
    disk.name,
    size(disk.size),
    disk.tran,
    KINDS[kind],
    disk.vendor,
    disk.model,
    disk.serial && `serial ${disk.serial}`,
    disk.rotational === null ? false : disk.rotational ? 'rotational' : 'solid state',
    `${disk.logical_sectors ?? '?'}/${disk.physical_sectors ?? '?'} bytes a sector`,
    isReadOnly && 'read-only',
    isRemovable && 'removable',
  );
}

function identity({ disk: { disk, paths, kname, nvme, volumeName, below } }: ShownDisk): string[] {
  const ways = paths.length > 1 || paths[0] !== kname;
  return [
    joined(disk.wwn && `wwn ${disk.wwn}`, disk.hctl && `hctl ${disk.hctl}`),
    disk.by_path ?? '',
    ways ? `reached by ${paths.map((name) => `/dev/${name}`).join(', ')}` : '',
    nvme
      ? joined(
          `namespace ${nvme.namespaceId ?? '?'} of ${nvme.controllers.join(', ') || 'no controller'}`,
          nvme.neighbours.length > 0 && `beside ${nvme.neighbours.join(', ')}`,
        )
      : '',
    volumeName === undefined ? '' : `array "${volumeName}"`,
    below.length > 0 && disk.name.startsWith('/dev/md')
      ? `stands on ${below.map((block) => `/dev/${block.kname}`).join(', ')}`
      : '',
  ];
}

function contents({ disk: { family, paths, kname: own, contents: found } }: ShownDisk): string[] {
  const named = family
    .filter(({ kname, fstype }) => (kname === own ? fstype !== null : !paths.includes(kname)))
    .map((block) => joined(`/dev/${block.kname}`, block.type, block.fstype, block.label && `"${block.label}"`));
  return [
    ...named.map((line) => `on it: ${line}`),
    ...found.map(({ kname, name }) => `found: ${name} on /dev/${kname}`),
  ];
}

function describe(shown: ShownDisk): string[] {
  const { isChosen, reasons, guard } = shown;
  return [
    headline(shown),
    ...[
      ...identity(shown),
      ...contents(shown),
      isChosen
        ? 'root disk: an image goes here'
        : `not the root disk: ${reasons.join(', ') || 'another one was meant'}`,
      ...(guard.length === 0
        ? ['may be erased and written']
        : guard.map(({ text, remedy }) => `guarded: ${text} (${remedy})`)),
    ]
      .filter((line) => line !== '')
      .map((line) => `    ${line}`),
  ];
}

/** The disks for people, in the order of where they are plugged in. */
export function describeDisks({ disks, others, problem }: ShownDisks): string {
  return [
    ...(disks.length === 0 ? ['no disks'] : disks.flatMap(describe)),
    ...(others.length === 0 ? [] : ['no disks of their own', ...others.map(({ name, why }) => `    ${name}: ${why}`)]),
    ...(problem === undefined ? [] : [problem]),
    '',
  ].join('\n');
}
