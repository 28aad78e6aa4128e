import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aServedSystem, type ServedSystem } from '../client/builders.ts';
import { cli, type Terminal } from './builders.ts';

let system: ServedSystem;
beforeAll(async () => {
  system = await aServedSystem({ access: { apiKey: 'right', metricsToken: null } });
});
afterAll(() => system.close());

const run = (command: string, terminal: Partial<Terminal> = {}) =>
  cli([...command.split(' '), '--api-key', 'right'], { url: system.url, ...terminal });

async function submitted(request: object = {}): Promise<string> {
  return (await system.tasks.submit({ agent: 'echo', input: { text: 'hi' }, ...request })).task.id;
}

const NOBODY = '0'.repeat(25);
const FAILURE = { code: 'out_of_paper', message: 'the printer is empty', retryable: false };

describe('tasks list', () => {
  it('shows tasks in a table, newest first, and as JSON with every field', async () => {
    const ids = [await submitted({ tenant: 'list' }), await submitted({ tenant: 'list' })].reverse();
    const table = await run('tasks list --tenant list');
    expect(table).toMatchObject({ code: 0, err: '' });
    expect(table.out.split('\n').map((line) => line.split(' ')[0])).toEqual(['ID', ...ids, '']);
    const json = JSON.parse((await run('tasks list --tenant list -o json')).out);
    expect(json).toMatchObject(ids.map((id) => ({ id, agent: 'echo', state: 'queued', tenant: 'list' })));
    const lines = (await run('tasks list --tenant list -o ndjson')).out.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(json);
  });

  it('filters', async () => {
    const wanted = await submitted({ tenant: 'f', labels: { a: '1' }, correlationId: 'c' });
    await submitted({ tenant: 'f', labels: { a: '2' }, correlationId: 'd' });
    for (const flags of ['--label a=1', '--correlation c', '--label a=1 --state queued,running --agent echo']) {
      const { out } = await run(`tasks list --tenant f -o json ${flags}`);
      expect(JSON.parse(out).map(({ id }: { id: string }) => id)).toEqual([wanted]);
    }
    expect(JSON.parse((await run('tasks list --tenant f -o json --older-than 1h')).out)).toEqual([]);
    expect(JSON.parse((await run('tasks list --tenant f -o json --older-than 0s')).out)).toHaveLength(2);
  });

  it('shows as many as asked for, over as many pages as it takes, and says when there are more', async () => {
    const tasks = Array.from({ length: 620 }, (_, i) => ({ agent: 'echo', input: {}, tenant: 'many', key: `${i}` }));
    await system.tasks.submitMany(tasks);
    const some = await run('tasks list --tenant many --limit 601 -o json');
    expect(JSON.parse(some.out)).toHaveLength(601);
    expect(some.err).toContain('--limit');
    const all = await run('tasks list --tenant many --limit 1000 -o json');
    expect(new Set(JSON.parse(all.out).map(({ id }: { id: string }) => id)).size).toBe(620);
    expect(all.err).toBe('');
  });

  it('says in words when nothing matches, and an empty list to programs', async () => {
    expect(await run('tasks list --tenant nobody')).toMatchObject({ code: 0, out: '', err: 'no task matches\n' });
    expect(await run('tasks list --tenant nobody -o json')).toMatchObject({ out: '[]\n', err: '' });
  });

  it('fits the terminal', async () => {
    const id = await submitted({ tenant: 'narrow' });
    await system.finish(id, { error: { ...FAILURE, message: 'long '.repeat(50) } });
    const { out } = await run('tasks list --tenant narrow', { columns: 90, colors: true });
    const lines = stripVTControlCharacters(out).trimEnd().split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBe(90);
    expect(out).toContain(`\u001b[31mfailed`);
  });
});

describe('tasks get', () => {
  it('shows a task with its input and result', async () => {
    const id = await submitted({ labels: { team: 'a' } });
    await system.finish(id, { result: { loud: 'HI' } });
    const { code, out } = await run(`tasks get ${id}`);
    expect(code).toBe(0);
    for (const part of [/^state +completed$/m, /^worker +w1$/m, /^labels +team=a$/m, /"loud": "HI"/]) {
      expect(out).toMatch(part);
    }
    expect(JSON.parse((await run(`tasks get ${id} -o json`)).out)).toMatchObject({ id, result: { loud: 'HI' } });
  });

  it('answers several ids on their own and fails when one is not there', async () => {
    const ids = [await submitted(), await submitted()];
    const { code, out, err } = await run(`tasks get ${ids[0]} ${NOBODY} ${ids[1]} -o json`);
    expect(code).toBe(1);
    expect(JSON.parse(out).map(({ id }: { id: string }) => id)).toEqual(ids);
    expect(err).toContain(`error: ${NOBODY}: there is no task`);
  });

  it('prints nothing to stdout for an id that is not there', async () => {
    const { code, out, err } = await run(`tasks get ${NOBODY} -o json`);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('there is no task');
  });
});

describe('tasks cancel, retry and history', () => {
  it('change the course of tasks and tell what happened', async () => {
    const id = await submitted();
    const cancelled = await run(`tasks cancel ${id} --reason wrong -o json`);
    expect(cancelled.code).toBe(0);
    expect(JSON.parse(cancelled.out)).toMatchObject({ id, state: 'cancelled', error: { message: 'wrong' } });
    expect((await run(`tasks retry ${id}`)).out).toMatch(new RegExp(`^${id} +echo +queued`, 'm'));
    const { history } = JSON.parse((await run(`tasks history ${id} -o json`)).out);
    expect(history.map(({ state }: { state: string }) => state)).toEqual(['queued', 'cancelled', 'queued']);
    expect((await run(`tasks history ${id}`)).out).toMatch(/Z {2}2 {2}cancelled /);
  });

  it('go on after an id that is refused', async () => {
    const [ended, open] = [await submitted(), await submitted()];
    await system.finish(ended, { result: 1 });
    const { code, out, err } = await run(`tasks cancel ${ended} ${open}`);
    expect(code).toBe(1);
    expect(err).toBe(`error: ${ended}: task ${ended} is completed: it cannot be cancelled\n`);
    expect(out).toMatch(new RegExp(`^${open} +echo +cancelled`, 'm'));
  });
});

describe('a system with a key', () => {
  it('lets nobody in without it', async () => {
    for (const command of ['tasks list', 'agents list', `tasks get ${NOBODY} ${NOBODY}`, 'submit echo --wait']) {
      const { code, out, err } = await cli(command.split(' '), { url: system.url });
      expect({ code, out }).toEqual({ code: 77, out: '' });
      expect(err).toContain('--api-key or API_KEY');
    }
  });
});

describe('the fleet', () => {
  it('is listed in the format that was asked for', async () => {
    await submitted();
    const queues = JSON.parse((await run('queues list -o json')).out);
    expect(queues.find(({ agent }: { agent: string }) => agent === 'echo').pending).toBeGreaterThan(0);
    expect((await run('agents list')).out).toMatch(/^echo +- +run, shout +-$/m);
    expect(await run('workers list')).toMatchObject({
      code: 0,
      out: '',
      err: expect.stringContaining('--role worker'),
    });
    expect((await run('instances list -o ndjson')).out).toBe('');
  });
});
