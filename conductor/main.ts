import { runProgram } from '../cli/program.ts';
import { main } from './cli/main.ts';

await runProgram(main);
