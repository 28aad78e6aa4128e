import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../src/errors.ts';
import { cli } from './builders.ts';

describe('the program', () => {
  it('prints the help without a role and a command', async () => {
    const { code, out, err } = await cli([]);
    expect(code).toBe(0);
    expect(out).toMatch(/^Usage: agent-system \[command] \[options]/);
    for (const command of ['demo', 'submit', 'tasks', 'workers', 'instances', 'queues', 'agents']) {
      expect(out).toMatch(new RegExp(`^  ${command}\\b.* {2}\\S`, 'm'));
    }
    expect(err).toBe('');
  });

  it.each(['help submit', 'help tasks', 'tasks help list'])(
    'knows "%s" as another way to ask for help',
    async (command) => {
      const { code, out } = await cli(command.split(' '));
      expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining('Usage: agent-system ') });
      expect(out).toContain(command.split(' ').findLast((word) => word !== 'help')!);
    },
  );

  it('makes a secret that is long enough to sign with and another one each time', async () => {
    const { code, out, err } = await cli(['keys', 'generate']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^[0-9a-z]{52}\n$/);
    expect((await cli(['keys', 'generate'])).out).not.toBe(out);
    const asJson = await cli(['keys', 'generate', '-o', 'json']);
    expect(JSON.parse(asJson.out)).toEqual({ secret: expect.stringMatching(/^[0-9a-z]{52}$/) });
  });

  it('prints its version', async () => {
    expect(await cli(['--version'])).toMatchObject({ code: 0, out: '1.2.3\n' });
  });

  it.each([
    ['submit'],
    ['demo'],
    ['tasks list'],
    ['tasks get'],
    ['tasks cancel'],
    ['tasks retry'],
    ['tasks history'],
    ['workers list'],
    ['instances list'],
    ['queues list'],
    ['agents list'],
    ['keys generate'],
  ])('explains %s with an example and the flags that all commands share', async (command) => {
    const { code, out } = await cli([...command.split(' '), '--help']);
    expect(code).toBe(0);
    expect(out).toContain(`$ agent-system ${command}`);
    for (const flag of ['-o, --output', '--url', '--api-key']) expect(out).toContain(flag);
    expect(out).not.toContain('--role');
  });

  it.each([
    ['taks', "unknown command 'taks'; did you mean tasks?"],
    ['--role coordinatr', "argument 'coordinatr' is invalid. Wanted one of coordinator,"],
    ['--role coordinatr', 'did you mean coordinator?'],
    ['--role all --port 99999', 'Wanted a whole number from 0 to 65535.'],
    ['tasks lst', 'Did you mean list?'],
    ['tasks', 'Usage: agent-system tasks'],
    ['--bogus', "unknown option '--bogus'"],
    ['tasks list --stat failed', 'Did you mean --state?'],
    ['tasks list extra', 'too many arguments'],
    ['tasks get', "missing required argument 'id'"],
    ['tasks list -o yaml', 'Allowed choices are table, json, ndjson'],
    ['tasks list --limit 0', 'Wanted a whole number from 1 to'],
    ['agents list --url localhost', 'Wanted an http or https URL'],
    ['--role all tasks list', '--role cannot stand beside the command list'],
    ['--port 1', 'wanted --role as well'],
    ['submit echo --port 1', '--port cannot stand beside the command submit'],
    ['dev --restore x', '--restore cannot stand beside the command dev'],
    ['submit', 'no agent is named'],
    ['submit echo --priority 11', 'Wanted 0 to 10'],
    ['submit echo --input {', '--input is not JSON'],
    ['submit echo --input @/nope', '/nope cannot be read: there is no such file'],
    ['submit echo --batch x --key k --wait', '--key and --wait cannot stand beside --batch'],
    ['submit echo --batch /nope', '/nope cannot be read: there is no such file'],
  ])('refuses "%s" as wrong usage and says why', async (command, why) => {
    const { code, out, err } = await cli(command.split(' '));
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(why);
  });

  it('says what it tried when no system is there, and how to start one', async () => {
    const { code, out, err } = await cli(['tasks', 'list', '--url', 'http://127.0.0.1:1']);
    expect({ code, out }).toEqual({ code: 69, out: '' });
    expect(err).toContain('cannot reach http://127.0.0.1:1');
    expect(err).toContain('agent-system --role all');
  });

  it('tells every problem of a configuration on a line of its own', async () => {
    const loadConfig = () => {
      throw new ConfigurationError(['HOST is wrong', 'PORT is wrong']);
    };
    const { code, err } = await cli(['--role', 'all'], { parts: { loadConfig } });
    expect(code).toBe(78);
    expect(err).toBe('error: HOST is wrong\nerror: PORT is wrong\n');
  });
});
