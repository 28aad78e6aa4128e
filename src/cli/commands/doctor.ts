/** `doctor`: would a role start here, and if not, why? */
import type { Command } from 'commander';
import type { ConfigFlags } from '../../config/load.ts';
import { examples, type GlobalOptions } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { roleFlag } from '../flags.ts';
import type { Io } from '../io.ts';
import { Printer } from '../printer.ts';
import { type Style, styled } from '../table.ts';
import { printable } from '../text-width.ts';

export interface DoctorFinding {
  check: string;
  state: 'ok' | 'warn' | 'fail';
  found: string;
  advice?: string;
}

export interface DoctorParts {
  io: Io;
  examine: (flags: ConfigFlags) => Promise<DoctorFinding[]>;
}

export function addDoctorCommand(program: Command, parts: DoctorParts, done: (code: number) => void): void {
  program
    .command('doctor')
    .description('check configuration, keys, agents, ports and Redis, and say what to do')
    .option('--as <role>', 'look as this role would; else the one that is configured, else all', roleFlag)
    .addHelpText('after', examples('doctor', 'doctor --as worker -o json'))
    .action(async ({ as }: { as?: string }) => {
      done(await doctor(as, program.opts<GlobalOptions>(), parts));
    });
}

async function doctor(role: string | undefined, { output }: GlobalOptions, { io, examine }: DoctorParts) {
  const printer = new Printer(output, io);
  const findings = await examine({ role });
  if (output === 'table') printer.text(findings.map((finding) => lineOf(finding, io)).join('\n'));
  else printer.list(findings, [], '');
  const failures = findings.filter(({ state }) => state === 'fail').length;
  if (failures > 0) printer.note(`${failures} of ${findings.length} checks failed`);
  return failures > 0 ? EXIT.failed : EXIT.ok;
}

const STYLES: Record<DoctorFinding['state'], Style> = { ok: 'green', warn: 'yellow', fail: 'red' };
const CHECK_WIDTH = 10;

function lineOf({ check, state, found, advice }: DoctorFinding, io: Io): string {
  const colors = io.colors && io.outColumns !== null;
  const mark = styled(state.padEnd(4), colors ? STYLES[state] : undefined);
  const line = `${mark}  ${check.padEnd(CHECK_WIDTH)}  ${found.split('\n').map(printable).join('\n      ')}`;
  return advice === undefined ? line : `${line}\n${' '.repeat(6 + CHECK_WIDTH + 2)}→ ${advice}`;
}
