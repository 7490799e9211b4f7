import { formatBytes } from '../cli/progress.ts';
import { type Change, compare, explain, type Explained, type Share, sourceOf } from './explain.ts';

function table(
  title: string,
  shares: readonly Share[],
  total: number,
  top: number,
  reasons = new Map<string, string>(),
) {
  const line = ({ name, bytes, unpackedBytes, files }: Share) =>
    `  ${formatBytes(bytes).padStart(9)}  ${((100 * bytes) / Math.max(1, total)).toFixed(1).padStart(5)}%  ${formatBytes(unpackedBytes).padStart(9)} in ${String(files).padStart(5)}  ${name}${reasons.has(name) ? ` (${reasons.get(name)})` : ''}`;
  const rest = shares.slice(top);
  const sum = (key: 'bytes' | 'unpackedBytes' | 'files') => rest.reduce((all, share) => all + share[key], 0);
  return [
    title,
    ...shares.slice(0, top).map(line),
    ...(rest.length === 0
      ? []
      : [
          line({
            name: `${rest.length} more`,
            bytes: sum('bytes'),
            unpackedBytes: sum('unpackedBytes'),
            files: sum('files'),
          }),
        ]),
  ];
}

/**
 * One build as text.
 * @param top how many lines a table may have before the rest is one line
 */
export function explainText(one: Explained, top: number): string {
  const { layers, elements, sources } = explain(one);
  const { total } = one.usage;
  const reasons = new Map(
    one.usage.rows.flatMap((row) => {
      const reason = one.packages.find(({ name }) => name === row.source)?.reason;
      return reason === undefined ? [] : [[sourceOf(row), reason] as const];
    }),
  );
  return [
    `${one.arch}, ${one.release}, Linux ${one.kernel.version}: ${formatBytes(total)} (${total} bytes), kernel ${formatBytes(one.kernel.bytes)}, initramfs ${formatBytes(one.initramfs.bytes)}`,
    'compressed, share, and unpacked in how many files',
    ...table('by layer', layers, total, top),
    ...table('by element', elements, total, top),
    ...table('by package or group of files', sources, total, top, reasons),
    '',
  ].join('\n');
}

/** Two builds as text: what changed. */
export function compareText(before: Explained, after: Explained, top: number): string {
  const { layers, elements, sources, packages } = compare(before, after);
  const signed = (bytes: number) => `${bytes < 0 ? '-' : '+'}${formatBytes(Math.abs(bytes))}`;
  const lines = (title: string, changes: Change[]) => [
    title,
    ...changes
      .slice(0, top)
      .map(
        (one) =>
          `  ${signed(one.after - one.before).padStart(10)}  ${one.name}${one.before === 0 ? ' (new)' : one.after === 0 ? ' (gone)' : ''}`,
      ),
    ...(changes.length > top
      ? [
          `  ${signed(changes.slice(top).reduce((sum, one) => sum + one.after - one.before, 0)).padStart(10)}  ${changes.length - top} more`,
        ]
      : []),
  ];
  const [old, now] = [before.usage.total, after.usage.total];
  if (layers.length + sources.length + packages.length === 0) return `no difference: ${formatBytes(now)}\n`;
  return [
    `${formatBytes(old)} before, ${formatBytes(now)} now: ${signed(now - old)} (${now - old} bytes)`,
    ...lines('by layer', layers),
    ...lines('by element', elements),
    ...lines('by package or group of files', sources),
    'packages',
    ...packages
      .slice(0, top)
      .map(
        ({ name, before: was, after: is }) =>
          `  ${name} ${was ?? '(new)'}${was !== undefined && is !== undefined ? ' -> ' : ' '}${is ?? '(gone)'}`,
      ),
    ...(packages.length > top ? [`  ${packages.length - top} more`] : []),
    '',
  ].join('\n');
}
