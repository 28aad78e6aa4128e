/** A contract over every command there is, also those that come later: found by walking the program itself. */
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { buildProgram, type CliParts } from '../../src/cli/cli.ts';
import type { Io } from '../../src/cli/io.ts';
import { cli } from './builders.ts';

const io = { out: () => {}, err: () => {}, outColumns: null, errColumns: null, colors: false } as unknown as Io;
const program = buildProgram({ io, version: '0' } as unknown as CliParts, () => {});

function below(command: Command, path: string[] = []): { path: string; command: Command }[] {
  return command.commands.flatMap((sub) => {
    const at = [...path, sub.name()];
    return [{ path: at.join(' '), command: sub }, ...below(sub, at)];
  });
}
const all = below(program);

/** Of CONTRACT, without those that later issues bring. */
const PROMISED = [
  ...['demo', 'dev', 'doctor', 'submit', 'events', 'cluster', 'cluster step-down', 'completion'],
  ...['list', 'get', 'cancel', 'retry', 'history', 'why', 'events'].map((name) => `tasks ${name}`),
  ...['workers list', 'workers drain', 'agents list', 'queues list', 'queues pause', 'queues resume'],
  ...['list', 'create', 'pause', 'resume', 'trigger', 'delete'].map((name) => `schedules ${name}`),
  ...['list', 'retry', 'drop'].map((name) => `deadletters ${name}`),
  ...['generate', 'derive', 'list', 'rotate', 'revoke'].map((name) => `keys ${name}`),
];

describe('every command', () => {
  it('that is promised is there', () => {
    expect(PROMISED.filter((path) => !all.some((one) => one.path === path))).toEqual([]);
  });

  it.each(all)('$path says what it does, with an example of itself', async ({ path, command }) => {
    expect(command.description()).toMatch(/^\S.{10,}[^.]$/);
    const { code, out } = await cli([...path.split(' '), '--help']);
    expect(code).toBe(0);
    expect(out).toContain(`Usage: agent-system ${path}`);
    const example = path.split(' ').length > 1 || command.commands.length === 0 ? path : path.split(' ')[0]!;
    expect(out).toMatch(new RegExp(`^ {2}\\$ agent-system ${example}\\b`, 'm'));
    for (const flag of ['-o, --output', '--url', '--api-key']) expect(out).toContain(flag);
    expect(out).not.toContain('--role');
  });

  it.each(all)('$path explains each of its options and arguments', ({ command }) => {
    for (const { description } of [...command.options, ...command.registeredArguments])
      expect(description).toMatch(/\S/);
  });

  it.each(all.filter(({ command }) => command.name() !== 'help'))(
    '$path refuses an option that it does not have',
    async ({ path }) => {
      const { code, out, err } = await cli([...path.split(' '), '--no-such-thing']);
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err).toMatch(/unknown option|required option|Usage:/);
    },
  );

  it.each(all)('$path fits a terminal of 80 columns with its help', async ({ path }) => {
    const { out } = await cli([...path.split(' '), '--help'], { columns: 80 });
    // Examples and what stands under them are to be copied, and are not broken.
    const [shown] = out.split('\nExamples:');
    expect(shown!.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });
});

describe('help', () => {
  it.each(['help nope', 'tasks help nope', 'help tasks nope', 'schedules nope', 'cluster nope'])(
    'says of "%s" that there is no such command',
    async (command) => {
      const { code, out, err } = await cli(command.split(' '));
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err).toContain(`unknown command 'nope'`);
    },
  );

  it.each([
    ['help tasks list', 'agent-system tasks list'],
    ['tasks help why', 'agent-system tasks why'],
    ['help', 'agent-system [command]'],
    ['help help', 'agent-system help'],
  ])('knows the way of "%s"', async (command, usage) => {
    expect(await cli(command.split(' '))).toMatchObject({ code: 0, out: expect.stringContaining(`Usage: ${usage}`) });
  });
});
