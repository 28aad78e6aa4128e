import { describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/errors.ts';
import { checkSeal } from '../../src/message/seal.ts';
import type { Store } from '../../src/store/store.ts';
import { shardOf } from '../../src/task/id.ts';
import type { WorldOptions } from '../coordinator/world.ts';
import { ServiceWorld } from './world.ts';

const serving = (options?: WorldOptions) => new ServiceWorld(options).announce();

describe('submit', () => {
  it('answers the queued task and leaves it sealed in its lane', async () => {
    const world = await serving();
    const { task, created } = await world.call(
      world.tasks.submit({ agent: 'echo', input: { text: 'hi' }, priority: 'high', tenant: 't', labels: { a: 'b' } }),
    );
    expect(created).toBe(true);
    expect(task).toMatchObject({
      state: 'queued',
      version: 1,
      priority: 8,
      tenant: 't',
      attempt: 0,
      durability: 'memory',
    });
    expect(task.correlationId).toBe(task.id);
    const record = await world.task(task.id);
    expect(checkSeal(record.sealed.text, record.sealed.seal, world.keys)).toBe('ok');
    expect(record.input).toBe('{"text":"hi"}');
    expect(await world.lanes()).toEqual({ 'echo|t': 1 });
    expect(world.observed('task.moved')).toMatchObject([{ event: 'task.submitted', id: task.id }]);
  });

  it('takes what is not said from the agent, and the rest from the deployment', async () => {
    const world = await serving();
    const slow = await world.task(await world.post({ agent: 'slow' }));
    expect(slow.spec).toMatchObject({ timeoutMs: 7_000, retry: { maxAttempts: 9, factor: 2 } });
    const echo = await world.task(await world.post({ retry: { backoffMs: 5 } }));
    expect(echo.spec).toMatchObject({ timeoutMs: 3_600_000, priority: 5, retry: { maxAttempts: 3, backoffMs: 5 } });
  });

  it('takes no more beside the input than can be read with every look at the task', async () => {
    const world = await serving();
    const large = world.call(world.tasks.submit({ agent: 'slow', metadata: { text: 'ä'.repeat(33_000) } }));
    await expect(large).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', details: { max: 65_536 } });
    const { task } = await world.call(world.tasks.submit({ agent: 'slow', input: { text: 'ä'.repeat(33_000) } }));
    expect(task.state).toBe('queued');
  });

  it('refuses a crowd of names at once, without a look at each', async () => {
    const world = await serving();
    const labels = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, 1]));
    const crowded = world.call(world.tasks.submit({ agent: 'slow', labels } as never));
    await expect(crowded).rejects.toMatchObject({
      details: { fields: [{ field: 'labels', problem: 'found 65 names, wanted at most 64' }] },
    });
  });

  it('tells so many faults of an input and no more', async () => {
    const world = await serving();
    const card = { name: 'texts', methods: { run: { input: { type: 'array', items: { type: 'string' } } } } };
    await world.store.announce([{ name: 'texts', card: JSON.stringify(card) }]);
    const wrong = world.call(world.tasks.submit({ agent: 'texts', input: new Array(1_000).fill(1) }));
    const error = await wrong.catch((refused: unknown) => refused as { details: { fields: unknown[] } });
    expect((error as { details: { fields: unknown[] } }).details.fields).toHaveLength(50);
  });

  it.each([[{ delayMs: 5_000 }], [{ runAt: new Date(1_700_000_005_000).toISOString() }]])(
    'schedules for later: %j',
    async (when) => {
      const world = await serving();
      const task = await world.task(await world.post(when));
      expect(task).toMatchObject({ state: 'scheduled', trail: { dueAt: 1_700_000_005_000 } });
    },
  );

  it('keeps requirements and limits in what is sealed, and leaves out requirements of nothing', async () => {
    const world = await serving();
    const limits = { queueTimeoutMs: 1_000, totalTimeoutMs: 5_000 };
    const require = { worker: 'w1', labels: { zone: 'eu' }, resources: { gpu: 0.5 } };
    const { task } = await world.call(world.tasks.submit({ agent: 'echo', input: {}, require, ...limits }));
    expect(task).toMatchObject({ require, ...limits });
    const plain = await world.post({ require: { labels: {} } });
    expect((await world.task(plain)).spec).not.toHaveProperty('require');
    expect(Object.keys(await world.lanes())).toEqual([
      ...['echo|default', 'echo|default|r={"labels":{"zone":"eu"},"resources":{"gpu":0.5},"worker":"w1"}'].reverse(),
    ]);
  });

  it('writes all submits of one turn with one commit, each with its own answer', async () => {
    let commits = 0;
    const world = await serving({
      through: (store) =>
        new Proxy(store, {
          get(target, name) {
            if (name === 'commit') commits += 1;
            const value = Reflect.get(target, name, target);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        }),
    });
    const answers = await world.call(
      world.tasks.submitMany([
        { agent: 'echo', input: { text: '1' } },
        { agent: 'ecko', input: {} },
        { agent: 'echo', input: { text: 2 } },
        { agent: 'echo', input: { text: '4' } },
      ]),
    );
    expect(answers.map((answer) => ('task' in answer ? answer.task.state : answer.code))).toEqual([
      ...['queued', 'UNKNOWN_AGENT', 'BAD_REQUEST', 'queued'],
    ]);
    expect(commits).toBe(1);
  });

  it('stores a task once when the answer of the store was lost', async () => {
    let lost = 0;
    const through = (store: Store): Store =>
      new Proxy(store, {
        get(target, name) {
          const value = Reflect.get(target, name, target);
          if (name !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
          return async (...args: Parameters<Store['commit']>) => {
            const reply = await target.commit(...args);
            if (lost++ === 0) throw new StoreUnavailableError('the answer was lost');
            return reply;
          };
        },
      });
    const world = await serving({ through });
    const { task } = await world.call(world.tasks.submit({ agent: 'echo', input: {}, key: 'k' }), 500);
    expect(lost).toBe(2);
    expect(await world.lanes()).toEqual({ 'echo|default': 1 });
    expect(await world.state(task.id)).toBe('queued');
  });

  it('spreads tasks over shards', async () => {
    const world = await serving({ policy: { shards: 4 } });
    const shards = [];
    for (let i = 0; i < 8; i++) shards.push(shardOf(await world.post()));
    expect(shards.sort()).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  });

  describe('refuses, and stores nothing', () => {
    it.each<[string, object, object]>([
      [
        'an agent nobody registered, with near names',
        { agent: 'ecco' },
        { code: 'UNKNOWN_AGENT', details: { agent: 'ecco', near: ['echo'] } },
      ],
      ['an agent far from all names', { agent: 'zzzzzzzzzz' }, { code: 'UNKNOWN_AGENT', details: { near: [] } }],
      [
        'a method the agent lacks',
        { method: 'sing' },
        { code: 'UNKNOWN_METHOD', details: { methods: ['run', 'shout'] } },
      ],
      [
        'an input that does not fit',
        { input: { text: 7 } },
        { code: 'BAD_REQUEST', details: { fields: [{ field: 'input.text' }] } },
      ],
      [
        'an input that is no JSON',
        { method: 'shout', input: 1n },
        { code: 'BAD_REQUEST', details: { fields: [{ field: 'input' }] } },
      ],
      ['a function as input', { method: 'shout', input: () => 1 }, { code: 'BAD_REQUEST' }],
      ['an unknown field', { colour: 'red' }, { code: 'BAD_REQUEST' }],
      [
        'a priority there is not',
        { priority: 11 },
        { code: 'BAD_REQUEST', details: { fields: [{ field: 'priority' }] } },
      ],
      [
        'two times to start',
        { delayMs: 1, runAt: '2030-01-01T00:00:00Z' },
        { code: 'BAD_REQUEST', details: { fields: [{ field: 'runAt' }] } },
      ],
      [
        'a worker that cannot be one',
        { require: { worker: 'a worker' } },
        {
          code: 'BAD_REQUEST',
          message: expect.stringMatching(/require\.worker: found "a worker", wanted the id of a worker/),
          details: { fields: [{ field: 'require.worker' }] },
        },
      ],
      [
        'names that no worker can offer',
        { require: { labels: { 'a b': 'c' }, resources: { gpu: 0 } } },
        {
          code: 'BAD_REQUEST',
          message: expect.stringMatching(
            /labels: found the name "a b", wanted .*resources\.gpu: found 0, wanted a number above 0/,
          ),
        },
      ],
      [
        'more labels than anyone needs',
        { require: { labels: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`l${n}`, 'x'])) } },
        { code: 'BAD_REQUEST', message: expect.stringContaining('found 17 names, wanted at most 16') },
      ],
      ['a requirement of another kind', { require: { zone: 'eu' } }, { code: 'BAD_REQUEST' }],
      ['no time at all', { queueTimeoutMs: 0, totalTimeoutMs: 0.5 }, { code: 'BAD_REQUEST' }],
      [
        'a task whose time is over before its delay is',
        { delayMs: 5_000, totalTimeoutMs: 5_000 },
        { code: 'BAD_REQUEST', details: { fields: [{ field: 'totalTimeoutMs' }] } },
      ],
      [
        'a task whose time is over before it is to run',
        { runAt: new Date(1_700_000_005_000).toISOString(), totalTimeoutMs: 5_000 },
        { code: 'BAD_REQUEST', details: { fields: [{ field: 'runAt' }] } },
      ],
      [
        'no attempts at all',
        { retry: { maxAttempts: 0 } },
        { code: 'BAD_REQUEST', details: { fields: [{ field: 'retry.maxAttempts' }] } },
      ],
      [
        'a payload too large',
        { input: { text: 'ü'.repeat(500) } },
        { code: 'PAYLOAD_TOO_LARGE', details: { bytes: 1_011, max: 1_010 } },
      ],
    ])('%s', async (_, over, error) => {
      const world = await serving({ policy: { maxPayloadBytes: 1_010 } });
      const refused = world.call(world.tasks.submit({ agent: 'echo', input: {}, ...over }), 300);
      await expect(refused).rejects.toMatchObject(error);
      expect(await world.lanes()).toEqual({});
    });

    it('a payload one byte over the bound, not one at it', async () => {
      const world = await serving({ policy: { maxPayloadBytes: 1_011 } });
      await expect(world.post({ input: { text: 'ü'.repeat(500) } })).resolves.toBeDefined();
      await expect(world.post({ input: { text: `${'ü'.repeat(500)}x` } })).rejects.toMatchObject({
        code: 'PAYLOAD_TOO_LARGE',
      });
    });

    it('when the queue is full, until it is not', async () => {
      const world = await serving({ policy: { queueMax: 2 } });
      const first = await world.post();
      await world.post();
      await world.advance(500);
      await expect(world.post()).rejects.toMatchObject({ code: 'QUEUE_FULL', retryable: true });
      await world.give(first, { type: 'cancel', reason: 'r' });
      await world.advance(500);
      await expect(world.post()).resolves.toBeDefined();
    });

    it('when the store is away, and says that trying again may help', async () => {
      const world = await serving();
      await world.post();
      await world.store.close();
      await expect(world.call(world.tasks.submit({ agent: 'echo', input: {} }), 5_000)).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        retryable: true,
      });
    });
  });

  it('takes tasks for an agent that was registered once, though no worker has it now, and for a new one soon', async () => {
    const world = await serving();
    await world.post();
    await world.advance(300);
    await world.store.announce([{ name: 'fresh', card: '{"name":"fresh","methods":{"run":{}}}' }]);
    await expect(world.post({ agent: 'fresh' })).resolves.toBeDefined();
  });

  it.each([
    ['null methods', { methods: null }],
    ['another name', { name: 'other' }],
    ['a timeout that is none', { timeoutMs: 'soon' }],
    ['retries that are none', { retry: { maxAttempts: 'many' } }],
  ])('does not know an agent whose card has %s: it would be sealed into every task', async (_, over) => {
    const world = await serving();
    const card = JSON.stringify({ name: 'odd', methods: { run: {} }, ...over });
    await world.store.announce([{ name: 'odd', card }]);
    await expect(world.post({ agent: 'odd' })).rejects.toMatchObject({ code: 'UNKNOWN_AGENT' });
    await expect(world.post()).resolves.toBeDefined();
  });
});

describe('a key', () => {
  const request = { agent: 'echo', input: { text: 'hi' }, key: 'order-77', labels: { a: '1', b: '2' } };

  it('gives the same task for the same content, at any coordinator, whatever the order of fields', async () => {
    const world = await serving({ policy: { shards: 4 } });
    const first = await world.call(world.tasks.submit(request));
    const again = { labels: { b: '2', a: '1' }, key: 'order-77', input: { text: 'hi' }, agent: 'echo' };
    const second = await world.call(world.another().tasks.submit(again));
    expect([first.created, second.created]).toEqual([true, false]);
    expect(second.task).toEqual(first.task);
    const lanes = await Promise.all([0, 1, 2, 3].map((shard) => world.lanes(shard)));
    expect(lanes.flatMap((lane) => Object.values(lane))).toEqual([1]);
  });

  it('gives one task to two submits of the same turn', async () => {
    const world = await serving();
    const answers = await world.call(Promise.all([world.tasks.submit(request), world.tasks.submit(request)]), 10);
    expect(answers.map(({ created }) => created).sort()).toEqual([false, true]);
    expect(answers[0]!.task.id).toBe(answers[1]!.task.id);
  });

  it.each([
    ['input', { input: { text: 'other' } }],
    ['priority', { priority: 9 }],
    ['labels', { labels: { a: '1' } }],
  ])('is refused with another %s', async (_, over) => {
    const world = await serving();
    const { task } = await world.call(world.tasks.submit(request));
    const refused = world.call(world.tasks.submit({ ...request, ...over }));
    await expect(refused).rejects.toMatchObject({ code: 'KEY_CONFLICT', details: { key: 'order-77', id: task.id } });
  });

  it('stands per tenant and agent', async () => {
    const world = await serving();
    const ids = [
      await world.post({ key: 'k' }),
      await world.post({ key: 'k', tenant: 't' }),
      await world.post({ key: 'k', agent: 'slow' }),
    ];
    expect(new Set(ids).size).toBe(3);
  });

  it('never meets the key of another tenant, whatever the names hold', async () => {
    const world = await serving();
    const first = await world.post({ tenant: 'a', key: 'echo\nk' });
    expect(await world.post({ tenant: 'a\necho', key: 'k' })).not.toBe(first);
  });

  it('is kept IDEMPOTENCY_TTL and free afterwards', async () => {
    const world = await serving({ policy: { idempotencyTtlMs: 10_000 } });
    const first = await world.post({ key: 'k' });
    await world.advance(9_000);
    expect(await world.post({ key: 'k' })).toBe(first);
    await world.advance(1_000);
    expect(await world.post({ key: 'k' })).not.toBe(first);
  });

  it('that has outlived its task says so', async () => {
    const world = await serving();
    const id = await world.post({ key: 'k' });
    const { version, state } = await world.task(id);
    await world.store.commit(0, { op: 'x', units: [{ id, expect: version, state, remove: true, indexes: [] }] });
    await expect(world.post({ key: 'k' })).rejects.toMatchObject({
      code: 'KEY_CONFLICT',
      message: expect.stringContaining('deleted by age'),
    });
  });
});
