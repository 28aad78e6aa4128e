import { expect, it } from 'vitest';
import type { HeartbeatBody } from '../../src/message/bodies.ts';
import { openEnvelope } from '../../src/message/envelope.ts';
import { workerAddress } from '../../src/message/principals.ts';
import { call, KEYS, type TestApi } from './builders.ts';
import { describeOnStores } from './stores.ts';

const heartbeat: HeartbeatBody = {
  ...{ worker: 'w1', incarnation: '1-a', distributor: 'd1', alive: true, ready: true, draining: false },
  ...{
    slots: 2,
    extra: 0,
    quick: [],
    agents: [{ name: 'echo' }],
    unstarted: [],
    started: [],
    done: [],
    mailbox: '0-0',
  },
};

async function registered({ store }: TestApi, id: string, role = 'coordinator'): Promise<void> {
  const instance = { id, role, host: 'h', pid: 1, version: '1', url: `http://127.0.0.1/${id}` };
  const whole = { ...instance, agents: [], metadata: {}, facts: {} };
  await store.register({ instance: whole, nonce: id, ttlMs: 1_000 });
}

describeOnStores('the fleet', (open) => {
  it('shows an agent with its schemas, or near names', async () => {
    const api = await open();
    const { status, body } = await call(api, 'GET', '/v1/agents/echo');
    expect(status).toBe(200);
    expect(body).toMatchObject({ name: 'echo', methods: { run: { input: { type: 'object' } } } });
    const none = await call(api, 'GET', '/v1/agents/ehco');
    expect(none.status).toBe(404);
    expect(none.body.error).toMatchObject({ code: 'UNKNOWN_AGENT', details: { near: ['echo'] } });
  });

  it('describes every method as a tool', async () => {
    const { body } = await call(await open(), 'GET', '/v1/tools');
    expect(body.tools.map(({ name }: { name: string }) => name)).toEqual(['echo', 'echo.shout', 'summarise']);
    const inputSchema = { type: 'object', properties: { text: { type: 'string' } } };
    expect(body.tools[0]).toEqual({ name: 'echo', description: '', inputSchema, agent: 'echo', method: 'run' });
  });

  it('pauses and resumes a queue, as often as it is asked to', async () => {
    const api = await open();
    await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: {} } });
    const queue = { agent: 'echo', pending: 1, urgent: 0, lanes: 1 };
    for (const [action, paused] of [
      ['pause', true],
      ['pause', true],
      ['resume', false],
      ['resume', false],
    ] as const) {
      const { status, body } = await call(api, 'POST', `/v1/queues/echo/${action}`);
      expect([status, body]).toEqual([200, expect.objectContaining({ ...queue, paused })]);
      expect((await call(api, 'GET', '/v1/queues/echo')).body).toMatchObject({ ...queue, paused });
    }
    for (const [method, path] of [
      ['GET', 'ehco'],
      ['POST', 'ehco/pause'],
      ['POST', 'ehco/resume'],
    ] as const) {
      const { status, body } = await call(api, method, `/v1/queues/${path}`);
      expect(status).toBe(404);
      expect(body.error.details.near).toEqual(['echo']);
    }
    expect((await call(api, 'POST', '/v1/queues/echo/pause', { body: { why: 'x' } })).status).toBe(400);
  });

  it('tells a worker to drain by a signed message in its mailbox', async () => {
    const api = await open({ heartbeats: [{ heartbeat, at: Date.now() }] });
    await registered(api, 'w1', 'worker');
    const { status, body } = await call(api, 'POST', '/v1/workers/w1/drain', { body: { reason: 'new disk' } });
    expect([status, body]).toEqual([202, { worker: 'w1', state: 'draining' }]);
    const stream = 'mail:w1@1-a' as const;
    const [batch] = await api.store.readStreams(0, { from: [{ stream, after: '0' }], count: 10, waitMs: 0 });
    const expected = { to: workerAddress('w1', '1-a'), stream: `0/${stream}`, streamKind: 'mailbox' as const };
    const opened = openEnvelope(
      batch!.entries[0]!.fields.e!,
      { ...expected, deployment: 'test', now: await api.store.now() },
      KEYS,
    );
    expect(opened).toMatchObject({
      ok: true,
      message: { type: 'worker.drain', from: 'coordinators', body: { reason: 'new disk' } },
    });
  });

  it.each([
    ['one that never was', 'w2'],
    ['one that is lost', 'w3'],
    ['one that has left', 'w4'],
  ])('drains no worker but those that live: %s', async (_, id) => {
    const lost = { heartbeat: { ...heartbeat, worker: 'w3' }, at: 0 };
    const left = { heartbeat: { ...heartbeat, worker: 'w4' }, at: Date.now() };
    const api = await open({ heartbeats: [{ heartbeat, at: Date.now() }, lost, left] });
    await registered(api, 'w1', 'worker');
    await registered(api, 'w3', 'worker');
    const { status, body } = await call(api, 'POST', `/v1/workers/${id}/drain`);
    expect(status).toBe(404);
    expect(body.error).toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('w1') });
  });

  it('shows who owns what until when, and what it stands on', async () => {
    const api = await open({ policy: { shards: 2 } });
    await registered(api, 'c1');
    const held = await api.store.lock(1).acquire(60_000);
    await api.store.claimEpoch(1, held!.value, 'c1');
    const { status, body } = await call(api, 'GET', '/v1/cluster');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      owners: [{ shard: 1, instance: 'c1', epoch: 1, url: 'http://127.0.0.1/c1', until: expect.stringMatching(/Z$/) }],
      shards: 2,
      instances: [{ id: 'c1', alive: true }],
      store: { kind: api.store.kind, description: 'a store for tests', deployment: 'test' },
    });
  });

  it('steps down from what it owns, names the owners of the rest, and does not leave a shard to nobody', async () => {
    const asked: unknown[] = [];
    const stepDown = (o: { shard?: number; restMs: number }) => {
      asked.push(o);
      return [0];
    };
    const api = await open({ policy: { shards: 2 }, stepDown });
    await registered(api, 'coordinator-1');
    const alone = await call(api, 'POST', '/v1/cluster/step-down');
    expect(alone.status).toBe(409);
    expect(alone.body.error).toMatchObject({ code: 'WRONG_STATE', message: expect.stringContaining('force') });
    expect(asked).toEqual([]);
    expect((await call(api, 'POST', '/v1/cluster/step-down', { body: { force: true } })).status).toBe(200);
    await registered(api, 'c2');
    const held = await api.store.lock(1).acquire(60_000);
    await api.store.claimEpoch(1, held!.value, 'c2');
    const { body } = await call(api, 'POST', '/v1/cluster/step-down', { body: {} });
    expect(body).toMatchObject({
      steppedDown: [0],
      elsewhere: [{ shard: 1, instance: 'c2', url: 'http://127.0.0.1/c2' }],
    });
    await call(api, 'POST', '/v1/cluster/step-down', { body: { shard: 0 } });
    expect(asked).toEqual([{ restMs: 15_000 }, { restMs: 15_000 }, { shard: 0, restMs: 15_000 }]);
    for (const request of [{ shard: 2 }, { shard: -1 }, { shards: [0] }]) {
      expect((await call(api, 'POST', '/v1/cluster/step-down', { body: request })).status).toBe(400);
    }
  });
});
