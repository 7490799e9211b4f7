import { readFileSync, writeFileSync } from 'node:fs';

/**
 * A fake of Broadcom's storcli64, as far as docs/examples/steps/storcli-raid asks: `node storcli.ts STATE WORDS... J`. The state is a
 * file; the form of the answers follows the storcli reference manual and was not recorded from a controller.
 */
type State = {
  drives: { 'EID:Slt': string; State: string; Med: string }[];
  virtual: { 'DG/VD': string; TYPE: string; Name: string; drives: string[] }[];
  /** What it says to the next `add vd` instead of doing it. */
  refusal?: string;
  calls: string[];
};

const [path = '', ...words] = process.argv.slice(2);
const state = JSON.parse(readFileSync(path, 'utf8')) as State;
const command = words.slice(0, -1).join(' ');
state.calls.push(command);

function answer(data: object, failure?: string): never {
  const status = { Controller: 0, Status: failure ? 'Failure' : 'Success', Description: failure ?? 'None' };
  writeFileSync(path, JSON.stringify(state));
  process.stdout.write(JSON.stringify({ Controllers: [{ 'Command Status': status, 'Response Data': data }] }));
  process.exit(0);
}

function setDrives(names: readonly string[], value: string): void {
  for (const drive of state.drives) if (names.includes(drive['EID:Slt'])) drive.State = value;
}

if (words.at(-1) !== 'J') throw new Error('the fake speaks JSON only');
if (command === 'show ctrlcount') answer({ 'Controller Count': 1 });
if (command === '/c0/eall/sall show') answer({ 'Drive Information': state.drives });
if (command === '/c0/vall show') answer(state.virtual.length > 0 ? { 'Virtual Drives': state.virtual } : {});
if (command === '/c0/vall delete force') {
  setDrives(
    state.virtual.flatMap(({ drives }) => drives),
    'UGood',
  );
  state.virtual = [];
  answer({});
}
if (command.startsWith('/c0 add vd ')) {
  if (state.refusal) answer({}, state.refusal);
  const given = Object.fromEntries(words.slice(3, -1).map((word) => word.split('=') as [string, string]));
  const drives = (given['drives'] ?? '').split(',');
  setDrives(drives, 'Onln');
  const TYPE = (given['type'] ?? '').replace('r', 'RAID');
  state.virtual.push({
    'DG/VD': `${state.virtual.length}/${state.virtual.length}`,
    TYPE,
    Name: given['name'] ?? '',
    drives,
  });
  answer({});
}
answer({}, `syntax error, unexpected ${command}`);
