/** What operators do, each command good and bad, against a whole system in this process over HTTP. */
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../support/redis-server.ts';
import { cli } from './builders.ts';
import { aRealSystem, type RealSystem } from './real-system.ts';

let real: RealSystem;

const run: RealSystem['run'] = (command, terminal) => real.run(command, terminal);
const json = async (command: string) => JSON.parse((await run(`${command} -o json`)).out);
const NOBODY = '0'.repeat(25);

async function submitted(flags: string): Promise<string> {
  const { code, out, err } = await run(`submit ${flags}`);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out.trim();
}

describe.each(['the embedded store', 'Redis'])('on %s', (name) => {
  let redis: RedisServer | undefined;
  beforeAll(async () => {
    redis = name === 'Redis' ? await startRedis() : undefined;
    real = await aRealSystem(redis && { redis: `redis://127.0.0.1:${redis.port}` });
  });
  afterAll(async () => {
    real.open();
    await real.system.stop();
    await redis?.stop();
  });

  describe('submit --follow', () => {
    it('tells what happens and prints the result alone', async () => {
      const { code, out, err } = await run('submit greet --follow');
      expect({ code, out: JSON.parse(out) }).toEqual({ code: 0, out: { hello: 'you' } });
      expect(err).toMatch(/^task \w{25}\n/);
      for (const type of ['submitted', 'queued', 'completed'])
        expect(err).toMatch(new RegExp(`Z {2}task\\.${type}\\b`));
    });

    it('fails as the task does', async () => {
      const { code, out, err } = await run('submit stumble --follow');
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toMatch(/task\.failed +out_of_paper: the printer is empty .*\nerror: task .* failed after 1 attempt/);
    });

    it('ends after the time that --wait gives', async () => {
      const { code, err } = await run('submit gated --follow --wait=300ms');
      expect(code).toBe(4);
      expect(err).toMatch(/task\.progress .*50 % {2}half of it/);
    });

    it('ends as cancelled when somebody cancels the task', async () => {
      const following = run('submit gated --follow --correlation c-follow');
      let id = '';
      while (id === '') id = (await json('tasks list --correlation c-follow --state running'))[0]?.id ?? '';
      await run(`tasks cancel ${id} --reason enough`);
      expect(await following).toMatchObject({
        code: 3,
        out: '',
        err: expect.stringContaining('was cancelled: enough'),
      });
    });

    it('draws how far it is in a terminal, also with --wait, and takes the line away again', async () => {
      const { err } = await run('submit gated --wait=400ms', { columns: 70 });
      expect(stripVTControlCharacters(err)).toMatch(/█+░+ 50 % running on w1 · half of it/);
      expect(err).toContain('\r\u001b[Kerror: task');
      expect((await run('submit gated --wait=100ms')).err).not.toContain('\u001b');
    });
  });

  describe('submit', () => {
    it('gives every flag to the system', async () => {
      const flags =
        `--session s --queue-timeout 1m --max-attempts 7 --concurrency-key k --delivery at-most-once ` +
        `--durability memory --metadata '{"by":"me"}' --require '{"labels":{"zone":"eu"}}' --require-label disk=ssd ` +
        `--require-resource gpu=1.5 --run-at 2100-01-01T00:00:00+01:00`;
      expect(await json(`tasks get ${await submitted(`greet ${flags}`)}`)).toMatchObject({
        session: 's',
        queueTimeoutMs: 60_000,
        maxAttempts: 7,
        concurrencyKey: 'k',
        delivery: 'at-most-once',
        metadata: { by: 'me' },
        require: { labels: { zone: 'eu', disk: 'ssd' }, resources: { gpu: 1.5 } },
        runAt: '2099-12-31T23:00:00.000Z',
      });
      const timed = await submitted('greet --delay 1h --total-timeout 2h --timeout 90s');
      expect(await json(`tasks get ${timed}`)).toMatchObject({ totalTimeoutMs: 7_200_000, timeoutMs: 90_000 });
    });

    it.each([
      [
        'submit greet --wait banana',
        'found "greet" and "banana"; if one of them is how long to wait, wanted a duration',
      ],
      ['submit greet banana', 'the input is given with --input'],
      ['submit greet --require-resource gpu', 'Wanted name=number'],
      ['submit greet --require-resource gpu=0', 'a number above 0'],
      ['submit greet --require 5', 'Wanted a JSON object'],
      ['submit greet --metadata {bad', 'Wanted a JSON object'],
      ['submit greet --run-at tomorrow', 'Wanted an ISO 8601 time with its zone'],
      ['submit greet --delay 1s --run-at 2100-01-01T00:00:00Z', '--delay and --run-at cannot stand together'],
      ['submit greet --delivery once', 'Allowed choices are at-least-once, at-most-once'],
      ['submit greet --batch x --follow', '--follow cannot stand beside --batch'],
    ])('refuses "%s" as wrong usage', async (command, why) => {
      const { code, out, err } = await run(command);
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err).toContain(why);
    });

    it('is refused by the system with what was found and wanted', async () => {
      const { code, err } = await run(`submit greet --require '{"lables":{}}'`);
      expect(code).toBe(1);
      expect(err).toContain('require: found unknown field "lables" (did you mean labels?)');
    });
  });

  describe('tasks why', () => {
    it('names each thing that has to happen, within the width of the terminal', async () => {
      const id = await submitted('greet --require-label zone=moon');
      const { code, out } = await run(`tasks why ${id}`);
      expect({ code, out }).toMatchObject({ out: expect.stringMatching(/is queued\n {2}no_worker_matches {2}\S/) });
      const narrow = (await run(`tasks why ${id}`, { columns: 60 })).out.trimEnd().split('\n');
      expect(Math.max(...narrow.map((line) => line.length))).toBeLessThanOrEqual(60);
      expect(await json(`tasks why ${id}`)).toMatchObject({ task: id, reasons: [{ code: 'no_worker_matches' }] });
      expect(await run(`tasks why ${NOBODY}`)).toMatchObject({ code: 1, out: '' });
    });
  });

  describe('tasks history --correlation', () => {
    it('tells what happened to all tasks that belong together', async () => {
      await run('submit greet --correlation c-hist --wait');
      await run('submit stumble --correlation c-hist --wait');
      const { tasks, history } = await json('tasks history --correlation c-hist');
      expect(tasks.map(({ state }: { state: string }) => state).sort()).toEqual(['completed', 'failed']);
      const times = history.map(({ at }: { at: string }) => at);
      expect(times).toEqual([...times].sort());
      expect((await run('tasks history --correlation c-hist')).out).toMatch(/^TIME +TASK +V +WHAT/);
    });

    it.each([
      ['tasks history', 2, 'no task is named'],
      ['tasks history x --correlation y', 2, 'cannot stand together'],
      ['tasks history --correlation nothing-has-this', 1, 'no task has the correlation id'],
    ])('refuses "%s"', async (command, code, why) => {
      expect(await run(command)).toMatchObject({ code, out: '', err: expect.stringContaining(why) });
    });
  });

  describe('tasks events', () => {
    it('tells a task from its beginning to its end, and goes on behind a cursor', async () => {
      const id = await submitted('greet');
      await run(`tasks get ${id}`);
      const { code, out } = await run(`tasks events ${id} -o ndjson`);
      const events = out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect({ code, first: events[0].type, last: events.at(-1).type }).toEqual({
        code: 0,
        first: 'task.submitted',
        last: 'end',
      });
      const after = await run(`tasks events ${id} --after ${events[1].cursor} -o ndjson`);
      expect(after.out.trimEnd().split('\n')).toHaveLength(events.length - 2);
      expect((await run(`tasks events ${id}`)).out).toMatch(/task\.completed .*\n$/);
      expect(await run(`tasks events ${NOBODY}`)).toMatchObject({ code: 1, out: '' });
    });
  });

  describe('events', () => {
    it('follows the system until it is ended, and until nobody reads any more', async () => {
      const reader = new AbortController();
      const signalled = Promise.resolve()
        .then(() => new Promise((resolve) => setTimeout(resolve, 300)))
        .then(() => run('submit greet --correlation c-ev --wait'));
      const following = run('events --correlation c-ev --types task.completed -o ndjson', {
        signals: [
          { signal: 'SIGINT', after: signalled.then(() => new Promise((resolve) => setTimeout(resolve, 300))) },
        ],
      });
      const { code, out } = await following;
      expect({
        code,
        events: out
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line)),
      }).toMatchObject({
        code: 130,
        events: [{ type: 'task.completed', agent: 'greet' }],
      });
      const piped = run('events', { outGone: reader.signal });
      reader.abort();
      expect(await piped).toMatchObject({ code: 0 });
    });

    it('refuses a type that there is not', async () => {
      expect(await run('events --types task.complete')).toMatchObject({
        code: 2,
        err: expect.stringContaining('did you mean task.completed?'),
      });
    });
  });

  describe('many tasks at once', () => {
    const WANTED = '--label batch=one';

    it('are counted, asked about, and cancelled', async () => {
      for (let i = 0; i < 3; i++) await submitted(`greet --delay 1h ${WANTED}`);
      const dry = await run(`tasks cancel ${WANTED} --dry-run`);
      expect(dry).toMatchObject({ code: 0, out: '3 tasks would be cancelled; nothing was changed\n' });

      const unasked = await run(`tasks cancel ${WANTED}`);
      expect(unasked).toMatchObject({ code: 2, out: '', err: expect.stringContaining('wanted --yes, or --dry-run') });
      const refused = await run(`tasks cancel ${WANTED}`, { interactive: true, stdin: 'n\n' });
      expect(refused).toMatchObject({ code: 1, out: '', err: 'Cancel 3 tasks? [y/N] nothing was changed\n' });
      const agreed = await run(`tasks cancel ${WANTED} --reason wrong`, { interactive: true, stdin: 'y\n' });
      expect(agreed).toMatchObject({ code: 0, out: '3 tasks cancelled\n' });
      const cancelled = await json(`tasks list ${WANTED}`);
      expect(cancelled).toMatchObject(Array(3).fill({ state: 'cancelled', error: { message: 'wrong' } }));

      const none = await run(`tasks cancel ${WANTED} --yes`);
      expect(none).toMatchObject({ code: 0, out: '', err: 'no task matches\n' });
      const back = await run(`tasks retry ${WANTED} --state cancelled --yes -o json`);
      expect(JSON.parse(back.out)).toEqual({ matched: 3, changed: 3, failed: [], dryRun: false });
      await run(`tasks cancel ${WANTED} --yes`);
    });

    it('are told one by one where they are named and cannot be', async () => {
      const { code, out, err } = await run(`tasks cancel ${NOBODY} --dry-run -o json`);
      expect(code).toBe(1);
      expect(JSON.parse(out)).toMatchObject({ matched: 0, failed: [{ id: NOBODY }] });
      expect(err).toContain(`error: ${NOBODY}: there is no task`);
    });

    it.each([
      ['tasks cancel', 'no task is named; wanted ids, or filters'],
      [`tasks retry ${NOBODY} --agent greet`, 'ids and filters cannot stand together'],
      ['tasks cancel --all --agent greet', '--all means every task'],
      ['deadletters drop', 'no task is named'],
      ['deadletters retry --state failed', "unknown option '--state'"],
    ])('refuse "%s" as wrong usage', async (command, why) => {
      expect(await run(command)).toMatchObject({ code: 2, out: '', err: expect.stringContaining(why) });
    });
  });

  describe('deadletters', () => {
    it('are listed, retried and dropped', async () => {
      for (let i = 0; i < 2; i++) await run('submit stumble --label dead=yes --wait');
      const list = await json('deadletters list --label dead=yes');
      expect(list).toMatchObject(Array(2).fill({ agent: 'stumble', state: 'failed' }));
      const one = await run('deadletters list --label dead=yes --limit 1');
      expect(one.err).toContain('--limit');
      const [first, second] = list as { id: string }[];
      expect(await run(`deadletters retry ${first!.id}`)).toMatchObject({ code: 0, out: '1 failed task retried\n' });
      expect(await run(`deadletters drop ${second!.id}`)).toMatchObject({ code: 0, out: '1 failed task removed\n' });
      expect(await run(`tasks get ${second!.id}`)).toMatchObject({ code: 1 });
      expect(await run('deadletters list --label dead=nobody')).toMatchObject({
        code: 0,
        err: 'no failed task matches\n',
      });
    });
  });

  describe('schedules', () => {
    it('are made, changed, looked at, stopped, started and removed', async () => {
      const made = await run(
        `schedules create nightly --agent greet --input '{"a":1}' --cron '0 3 * * *' --time-zone Europe/Berlin --overlap queue --missed once --jitter 30s --label by=clock`,
      );
      expect(made).toMatchObject({
        code: 0,
        err: '',
        out: expect.stringMatching(/^nightly +greet +0 3 \* \* \* Europe/m),
      });
      expect(await json('schedules get nightly')).toMatchObject({
        cron: '0 3 * * *',
        overlap: 'queue',
        missed: 'once',
        jitterMs: 30_000,
        task: { agent: 'greet', input: { a: 1 }, labels: { by: 'clock' } },
      });
      expect(await run('schedules create nightly --agent greet --every 1h')).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringContaining('there is a schedule "nightly" already'),
      });
      expect((await run('schedules put nightly --agent greet --every 90m')).out).toMatch(/every 90m/);
      expect((await run('schedules pause nightly')).out).toMatch(/ paused /);
      expect((await run('schedules get nightly')).out).toMatch(/^next +paused$/m);
      expect((await run('schedules resume nightly')).out).not.toMatch(/ paused /);
      const task = (await run('schedules trigger nightly')).out.trim();
      expect(await json(`tasks get ${task}`)).toMatchObject({ agent: 'greet', labels: { schedule: 'nightly' } });
      expect((await run('schedules list')).out).toMatch(new RegExp(`^nightly .*${task}`, 'm'));
      expect(await run('schedules delete nightly')).toMatchObject({ code: 0, out: 'nightly deleted\n' });
      expect(await run('schedules list')).toMatchObject({
        out: '',
        err: expect.stringContaining('there is no schedule'),
      });
    });

    it.each([
      ['schedules create a --agent greet', 2, 'found none of them'],
      ['schedules create a --agent greet --every 1m --at 2100-01-01T00:00:00Z', 2, 'found --every and --at'],
      ['schedules create a --agent greet --every 1m --time-zone UTC', 2, '--time-zone only goes with --cron'],
      ['schedules create a --every 1m', 2, "required option '--agent <name>'"],
      ['schedules create a --agent greet --at noon', 2, 'Wanted an ISO 8601 time'],
      [
        'schedules create a --agent greet --every 1m --overlap maybe',
        2,
        'Allowed choices are skip, queue, replace, allow',
      ],
      ['schedules create a --agent greet --cron nonsense', 1, 'wanted five fields'],
      ['schedules create a --agent gret --every 1m', 1, 'did you mean greet?'],
      ['schedules create a/b --agent greet --every 1m', 1, 'found "a/b", wanted 1 to 64 letters'],
      ['schedules get nobody', 1, 'there is no schedule "nobody"'],
      ['schedules delete nobody', 1, 'there is no schedule "nobody"'],
      ['schedules trigger nobody', 1, 'there is no schedule "nobody"'],
    ])('refuse "%s"', async (command, code, why) => {
      expect(await run(command)).toMatchObject({ code, out: '', err: expect.stringContaining(why) });
    });
  });

  describe('the fleet', () => {
    it('has queues that are paused and resumed', async () => {
      expect((await run('queues pause greet')).out).toMatch(/^greet .* paused$/m);
      const id = await submitted('greet');
      expect(await json(`tasks why ${id}`)).toMatchObject({ reasons: [{ code: 'queue_paused' }] });
      const resumed = await run('queues resume greet nobody -o json');
      expect(resumed).toMatchObject({
        code: 1,
        err: expect.stringContaining('error: nobody: no worker ever registered'),
      });
      expect(JSON.parse(resumed.out)).toMatchObject([{ agent: 'greet', paused: false }]);
      expect(await run('queues pause gret')).toMatchObject({ code: 1, out: '', err: expect.stringContaining('greet') });
    });

    it('shows who owns what until when', async () => {
      const { code, out } = await run('cluster');
      expect(code).toBe(0);
      expect(out).toMatch(/^ +0 {2}one .*Z \(\d+s left\)/m);
      expect(out).toMatch(/^shards +1, each has an owner$/m);
      expect(await json('cluster')).toMatchObject({ shards: 1, owners: [{ shard: 0, instance: 'one' }] });
    });

    it('refuses to be left without a leader', async () => {
      expect(await run('cluster step-down')).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringContaining('only coordinator'),
      });
      expect((await run('cluster step-down')).err).toContain('say it again with --force');
      expect(await run('cluster step-down --shard 9')).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringContaining('wanted 0 to 0'),
      });
      expect(await run('cluster step-down --shard x')).toMatchObject({ code: 2, out: '' });
    });

    it('gives up its shards when it is told to all the same, and takes them back in the end', async () => {
      expect(await run('cluster step-down --force')).toMatchObject({ code: 0, out: 'gave up shard 0\n' });
      const again = await run('cluster step-down --force');
      expect(again).toMatchObject({ code: 1, out: '', err: expect.stringContaining('owns none of them') });
    });

    it('drains a worker, which takes nothing more then', async () => {
      expect(await run('workers drain nobody')).toMatchObject({ code: 1, out: '', err: expect.stringContaining('w1') });
      expect(await run('workers drain w1 --reason upgrade')).toMatchObject({ code: 0, out: 'w1 is draining\n' });
    });
  });

  describe('colours', () => {
    it.each([
      'cluster',
      'tasks list --all',
      'schedules list',
      'deadletters list',
      'queues list',
      'workers list',
      'ID events',
      'ID why',
    ])('of "%s" are for terminals that want them', async (command) => {
      const [{ id }] = await json('deadletters list --limit 1');
      await run('schedules put colours --agent greet --at 2100-01-01T00:00:00Z --paused');
      const line = command.startsWith('ID') ? `tasks ${command.slice(3)} ${id}` : command;
      expect((await run(line, { columns: 120, colors: true })).out).toContain('\u001b[');
      // NO_COLOR is set, and: it is no terminal.
      expect((await run(line, { columns: 120 })).out).not.toContain('\u001b');
      expect((await run(line, { colors: true })).out).not.toContain('\u001b');
    });
  });
});

describe('a system that is not there', () => {
  it.each([
    'tasks cancel --all --yes',
    'tasks why x y',
    'events',
    'tasks events x y',
    'schedules list',
    'schedules pause x y',
    'deadletters list',
    'deadletters drop x',
    'queues pause a b',
    'workers drain a b',
    'cluster',
    'cluster step-down',
  ])('is told by "%s"', async (command) => {
    const { code, out, err } = await cli(command.split(' '), { url: 'http://127.0.0.1:1' });
    expect({ code, out }).toEqual({ code: 69, out: '' });
    expect(err.match(/cannot reach/g)).toHaveLength(1);
  });
});
