import type { Judgement } from './judge.ts';
import { printable } from './printable.ts';
import type { EraseRecord } from './record.ts';

type Section = { title: string; rows: (readonly [string, string])[] };

const known = (...values: (string | null)[]): string => values.filter((value) => value !== null).join(' ') || 'unknown';

function attemptRows({ attempts }: EraseRecord): Section['rows'] {
  return attempts.flatMap((attempt) => [
    [
      'tried',
      `${attempt.method}, ${attempt.started_at} to ${attempt.ended_at}: ${attempt.outcome}${attempt.why === null ? '' : `, ${attempt.why}`}`,
    ] as const,
    ...attempt.gaps.map(
      (gap) =>
        [
          'interrupted',
          `${gap.how}${gap.interrupted_after === null ? '' : `, last seen working ${gap.interrupted_after}`}, went on ${gap.resumed_at}`,
        ] as const,
    ),
    ...attempt.commands.map(
      (ran) =>
        [
          'command',
          `${ran.command} (exit code ${ran.exit_code ?? 'none'}, ${(ran.milliseconds / 1000).toFixed(1)} s)`,
        ] as const,
    ),
  ]);
}

function verificationRow({ verification }: EraseRecord): string {
  if (verification === null) return 'nothing was read back';
  if (verification.expectation === 'ends-zero')
    return verification.wrong === 0 ? 'both ends read as zeros' : `${verification.wrong} ranges do not read as zeros`;
  const { samples, block_bytes: block, wrong, all_zero: zero, canaries, witnesses } = verification;
  const found = verification.would_find_fraction;
  const wanted = { zeros: 'zeros', pattern: 'the pattern', changed: 'anything but what was there', 'ends-zero': '' };
  return [
    `${samples} samples of ${block} bytes had to be ${wanted[verification.expectation]}: ${wrong} were not`,
    `${zero} are zeros`,
    canaries ? 'canaries had been written to all these places' : 'no canaries had been written',
    ...(witnesses === undefined
      ? []
      : [
          `of ${witnesses.samples} blocks that were read before, too, ${witnesses.held} held something, and ${witnesses.unchanged} of those hold it still`,
        ]),
    `had ${(found * 100).toPrecision(2)} % of the disk been left, they would have met it with a probability of 99 %`,
  ].join('; ');
}

function outcome({ result, attempts }: EraseRecord): string {
  if (result === 'failed') return 'NOT ERASED';
  return attempts.at(-1)?.method === 'metadata' ? 'metadata erased, DATA LEFT' : 'erased';
}

function section(record: EraseRecord): Section {
  const { disk, node, hidden } = record;
  return {
    title: `${known(disk.vendor, disk.model)}, serial ${known(disk.serial)}: ${outcome(record)}`,
    rows: [
      [
        'result',
        record.result === 'erased'
          ? `erased by ${record.attempts.at(-1)?.method ?? ''}`
          : `failed: ${record.failure ?? ''}`,
      ],
      [
        'category',
        `${record.category === 'none' ? 'none of NIST SP 800-88' : `NIST SP 800-88 ${record.category}`}: ${record.category_why}`,
      ],
      [
        'disk',
        `${disk.path}, ${disk.size_bytes} bytes, sectors of ${disk.logical_sector_bytes}, ${known(disk.transport)}, WWN ${known(disk.wwn)}, firmware ${known(disk.firmware)}`,
      ],
      ['machine', `${known(node.vendor, node.product)}, serial ${known(node.serial)}, node ${node.uuid}`],
      ['time', `${record.started_at} to ${record.ended_at}, step ${record.step}, agent ${record.agent.version}`],
      ['nonce', record.nonce ?? 'none'],
      ['plan', record.plan.methods.map(({ method, reason }) => `${method} (${reason})`).join('; ') || 'none'],
      ...record.plan.excluded.map(({ method, why }) => ['left out', `${method}: ${why}`] as const),
      ['hidden areas', `HPA ${hidden.hpa}; DCO ${hidden.dco}`],
      ...attemptRows(record),
      ['read back', verificationRow(record)],
    ],
  };
}

function verdict(judgement: Judgement, trusted: boolean): string[] {
  if (judgement.faults.length > 0)
    return [
      'NOT VALID: this file is not what was signed, or contradicts itself.',
      ...judgement.faults.map((fault) => printable(fault)),
    ];
  const keys = judgement.keys.join(', ');
  return [
    trusted
      ? 'The signatures are valid, and lead to the key that was given.'
      : `The signatures are valid, by the keys in the file itself: ${keys}. Nothing says whose they are; --key does.`,
    ...(judgement.receipts > 0
      ? [
          trusted
            ? 'The conductor has signed that it got these records from the agent.'
            : 'Somebody who may be the conductor has signed that these records came from the agent.',
        ]
      : []),
    ...judgement.unchecked,
  ];
}

function sections(judgement: Judgement): Section[] {
  return judgement.records.map((record) => {
    const { title, rows } = section(record);
    return { title: printable(title), rows: rows.map(([name, value]) => [name, printable(value)] as const) };
  });
}

/** A page for people, as plain text. */
export function reportText(judgement: Judgement, trusted: boolean): string {
  const parts = sections(judgement).map(({ title, rows }) =>
    [title, ...rows.map(([name, value]) => `  ${name.padEnd(13)} ${value}`)].join('\n'),
  );
  return `${['Evidence of erased disks', verdict(judgement, trusted).join('\n'), ...parts].join('\n\n')}\n`;
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escape = (value: string): string => value.replace(/[&<>"]/g, (char) => ENTITIES[char] ?? char);

const STYLE =
  'body{font:14px/1.4 sans-serif;max-width:60em;margin:2em auto}table{border-collapse:collapse;width:100%}' +
  'th,td{text-align:left;vertical-align:top;border-top:1px solid #ccc;padding:.3em .6em}th{white-space:nowrap}' +
  'section{break-inside:avoid}';

/** The same as a page of HTML that needs nothing else. Serial numbers and the like come from devices, so everything is escaped. */
export function reportHtml(judgement: Judgement, trusted: boolean): string {
  const parts = sections(judgement).map(({ title, rows }) => {
    const lines = rows.map(([name, value]) => `<tr><th>${escape(name)}</th><td>${escape(value)}</td></tr>`);
    return `<section><h2>${escape(title)}</h2><table>${lines.join('')}</table></section>`;
  });
  const said = verdict(judgement, trusted).map((line) => `<p>${escape(line)}</p>`);
  return [
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Evidence of erased disks</title>',
    `<style>${STYLE}</style><h1>Evidence of erased disks</h1>`,
    ...said,
    ...parts,
    '</html>\n',
  ].join('\n');
}
