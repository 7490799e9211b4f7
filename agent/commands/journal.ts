/** `[   12.345678] text`: seconds since the machine's start, as the kernel, the ramdisk's scripts and the agent say it. */
const STAMP = /^\[\s*(\d+\.\d+)\]\s?(.*)$/s;

/** What one of them has said, oldest first. */
export type JournalSource = { name: string; text: string };

type Entry = { seconds: number; text: string };

/** A line without a time belongs to the one before it. */
function entriesOf({ name, text }: JournalSource): Entry[] {
  const entries: Entry[] = [];
  for (const line of text.split('\n')) {
    const [, seconds, words] = STAMP.exec(line) ?? [];
    const last = entries.at(-1);
    if (seconds !== undefined) entries.push({ seconds: Number(seconds), text: `${name}: ${words}` });
    else if (line.trim() === '') continue;
    else if (last) last.text += `\n    ${line}`;
    else entries.push({ seconds: 0, text: `${name}: ${line}` });
  }
  return entries;
}

/** Everybody's lines in the order in which they were said. */
export function mergeJournal(sources: readonly JournalSource[]): string {
  const entries = sources.flatMap((source) => entriesOf(source));
  const sorted = entries.toSorted((a, b) => a.seconds - b.seconds);
  return sorted.map(({ seconds, text }) => `[${seconds.toFixed(3).padStart(10)}] ${text}\n`).join('');
}
