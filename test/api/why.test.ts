import { expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/errors.ts';
import type { HeartbeatBody } from '../../src/message/bodies.ts';
import { keyRingFromSecret } from '../../src/message/keys.ts';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import type { WorkerLoad } from '../../src/service/cluster-service.ts';
import type { Reason } from '../../src/service/explain.ts';
import { WhyService } from '../../src/service/why-service.ts';
import type { Store } from '../../src/store/store.ts';
import { StoreClock } from '../../src/store/store-clock.ts';
import { DEFAULT_POLICY } from '../../src/task/policy.ts';
import { call, type TestApi } from './builders.ts';
import { assign, describeOnStores, failFor, give, of } from './stores.ts';

function beat(over: Partial<HeartbeatBody> = {}): WorkerLoad {
  const heartbeat: HeartbeatBody = {
    ...{ worker: 'w1', incarnation: '1-a', distributor: 'd1', alive: true, ready: true, draining: false },
    ...{ slots: 2, extra: 0, quick: [], agents: [{ name: 'echo' }], unstarted: [], started: [], done: [] },
    mailbox: '0-0',
    ...over,
  };
  return { heartbeat, at: Date.now() };
}

async function submit(api: TestApi, over: object = {}): Promise<string> {
  const { status, body } = await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: {}, ...over } });
  expect(status, JSON.stringify(body)).toBe(201);
  return body.id;
}

async function why(api: TestApi, id: string): Promise<Reason[]> {
  const { status, body } = await call(api, 'GET', `/v1/tasks/${id}/why`);
  expect(status).toBe(200);
  expect(body.task).toBe(id);
  for (const { message } of body.reasons) expect(message).toMatch(/[^.]$/);
  return body.reasons;
}

const codes = (reasons: Reason[]) => reasons.map(({ code }) => code);

async function withDistributor(store: Store): Promise<void> {
  const instance = {
    id: 'd1',
    role: 'distributor',
    host: 'h',
    pid: 1,
    version: '1',
    url: null,
    agents: [],
    metadata: {},
  };
  await store.register({ instance: { ...instance, facts: {} }, nonce: 'n', ttlMs: 1_000 });
}

/** A shard with an owner and a distributor: what is told then is about the task. */
async function inOrder(api: TestApi): Promise<TestApi> {
  await withDistributor(api.store);
  const held = await api.store.lock(0).acquire(60_000);
  await api.store.claimEpoch(0, held!.value, 'c1');
  return api;
}

describeOnStores('GET /v1/tasks/{id}/why', (open) => {
  it('names what is missing in a system where nothing runs', async () => {
    const api = await open();
    const id = await submit(api);
    expect(codes(await why(api, id))).toEqual(['no_distributor', 'no_worker_for_agent', 'no_owner']);
    await inOrder(api);
    expect(codes(await why(api, id))).toEqual(['no_worker_for_agent']);
  });

  it('has no owner any more once the time of the last one is over', async () => {
    const api = await open();
    const id = await submit(api);
    const held = await api.store.lock(0).acquire(60_000);
    await api.store.claimEpoch(0, held!.value, 'c1');
    expect(codes(await why(api, id))).not.toContain('no_owner');
    await api.store.lock(0).release(held!);
    expect(codes(await why(api, id))).toContain('no_owner');
  });

  it('says that nothing holds a task back when that is so', async () => {
    const api = await inOrder(await open({ heartbeats: [beat()] }));
    expect(codes(await why(api, await submit(api)))).toEqual(['being_assigned']);
  });

  it('says how long a task that was asked for later has to wait, and one that is to be tried again', async () => {
    const api = await inOrder(await open());
    const later = await submit(api, { delayMs: 3_600_000 });
    const [reason] = await why(api, later);
    expect(reason).toMatchObject({ code: 'scheduled_until', until: expect.stringMatching(/Z$/) });
    const id = await submit(api);
    await give(api.store, id, assign);
    const error = { code: 'handler_error', message: 'no luck', retryable: true };
    await give(api.store, id, { type: 'fail', ...of(1), error, jitter: 0 });
    const [backoff] = await why(api, id);
    expect(backoff).toMatchObject({ code: 'backoff_until', attempt: 1, maxAttempts: 3, error: 'handler_error' });
    expect(Date.parse(backoff!.until!)).toBeGreaterThan(Date.now() - 5_000);
  });

  it('says that the queue is paused, and no more once it is not', async () => {
    const api = await inOrder(await open({ heartbeats: [beat()] }));
    const id = await submit(api);
    await call(api, 'POST', '/v1/queues/echo/pause');
    expect(codes(await why(api, id))).toEqual(['queue_paused']);
    await call(api, 'POST', '/v1/queues/echo/resume');
    expect(codes(await why(api, id))).toEqual(['being_assigned']);
  });

  it('names the requirement that no worker meets, or that they only meet apart', async () => {
    const workers = [
      beat({ labels: { zone: 'eu' } }),
      beat({ worker: 'w2', labels: { disk: 'ssd' }, resources: { gpu: 1 } }),
    ];
    const api = await inOrder(await open({ heartbeats: workers }));
    const missing = async (require: object) => {
      const [reason] = await why(api, await submit(api, { require }));
      expect(reason!.code).toBe('no_worker_matches');
      return reason!.missing;
    };
    expect(await missing({ labels: { zone: 'us', disk: 'ssd' } })).toEqual(['label zone=us']);
    expect(await missing({ worker: 'w9' })).toEqual(['worker w9']);
    expect(await missing({ resources: { gpu: 2 } })).toEqual(['resource gpu=2']);
    expect(await missing({ labels: { zone: 'eu' }, resources: { gpu: 1 } })).toEqual([
      'label zone=eu',
      'resource gpu=1',
    ]);
    expect(codes(await why(api, await submit(api, { require: { labels: { zone: 'eu' } } })))).not.toContain(
      'no_worker_matches',
    );
  });

  it('names whose slots are busy, whose resources are in use, and who takes no work', async () => {
    const heartbeats = [beat({ started: ['a~1', 'b~1'], resources: { gpu: 1 }, used: { gpu: 1 } })];
    const api = await inOrder(await open({ heartbeats }));
    const id = await submit(api, { require: { resources: { gpu: 1 } } });
    const [busy] = await why(api, id);
    expect(busy).toMatchObject({ code: 'all_slots_busy', workers: [{ worker: 'w1', held: 2, slots: 2 }] });
    expect(busy!.message).toContain('w1 (2 of 2)');
    heartbeats[0]!.heartbeat.started.pop();
    expect((await why(api, id))[0]).toMatchObject({ code: 'resources_in_use', require: { gpu: 1 } });
    heartbeats[0]!.heartbeat.draining = true;
    expect((await why(api, id))[0]).toMatchObject({
      code: 'no_worker_ready',
      workers: [{ worker: 'w1', state: 'draining' }],
    });
    heartbeats[0] = beat({ distributor: 'gone', resources: { gpu: 1 } });
    expect((await why(api, id))[0]).toMatchObject({ code: 'no_worker_ready' });
    heartbeats[0] = { ...beat(), at: 0 };
    expect((await why(api, id))[0]).toMatchObject({ code: 'no_worker_for_agent', lost: ['w1'] });
  });

  it('counts what stands before it: in its own lane exactly, and in others that the same workers serve', async () => {
    const heartbeats = [beat({ agents: [{ name: 'echo' }, { name: 'summarise' }], started: ['a~1', 'b~1'] })];
    const api = await inOrder(await open({ heartbeats }));
    await submit(api);
    await submit(api);
    const id = await submit(api);
    await submit(api, { agent: 'summarise', priority: 'high' });
    await submit(api, { tenant: 'other', priority: 'urgent' });
    await submit(api);
    const behind = (await why(api, id)).find(({ code }) => code === 'behind');
    expect(behind).toMatchObject({ count: 4, inLane: 2, isAll: true });
    expect(behind!.message).toBe('4 tasks are before it');
  });

  it('names the cap that is reached, and what fills it', async () => {
    const api = await inOrder(await open({ heartbeats: [beat()] }));
    await api.store.changeCaps(0, { do: 'introduce', limits: { 'a|echo': 1 } });
    const first = await submit(api);
    const id = await submit(api);
    const request = { max: 10, urgentMax: 10, agents: { echo: 10 }, lanesMax: 100 };
    await api.store.take(0, { ...request, token: 't1' });
    await api.store.take(0, { ...request, token: 't2' });
    const reason = (await why(api, id)).find(({ code }) => code === 'cap_reached');
    expect(reason).toMatchObject({ cap: 'agent', name: 'echo', used: 1, limit: 1, tasks: [first] });
  });

  it('says that a key is unknown here', async () => {
    const api = await inOrder(await open({ heartbeats: [beat()] }));
    const id = await submit(api);
    const { store } = api;
    const service = new WhyService({
      ...{ store, runtime: systemRuntime, clock: new StoreClock(systemRuntime) },
      keys: keyRingFromSecret('ffffffffffffffffffffffffffffffff', 'next'),
      policy: { ...DEFAULT_POLICY, deployment: 'test' },
      heartbeats: async () => ({ now: await store.now(), loads: [beat()] }),
    });
    expect(codes((await service.why(id)).reasons)).toEqual(['key_unknown']);
  });

  it('follows an attempt from its assignment to the end, and notices that its worker is gone', async () => {
    const heartbeats = [beat()];
    const api = await inOrder(await open({ heartbeats }));
    const id = await submit(api);
    await give(api.store, id, assign);
    expect(await why(api, id)).toMatchObject([{ code: 'waiting_for_start', worker: 'w1' }]);
    await give(api.store, id, { type: 'start', ...of(1), at: Date.now() });
    const [running] = await why(api, id);
    expect(running).toMatchObject({ code: 'running_since', worker: 'w1', until: expect.any(String) });
    heartbeats[0] = { ...beat(), at: 0 };
    expect(codes(await why(api, id))).toEqual(['running_since', 'worker_silent']);
    await give(api.store, id, { type: 'complete', ...of(2), result: '1' });
    expect(await why(api, id)).toMatchObject([{ code: 'ended', ended: 'completed' }]);
    const failed = await submit(api);
    await failFor(api.store, failed, 'out_of_paper');
    expect(await why(api, failed)).toMatchObject([{ code: 'ended', ended: 'failed', error: 'out_of_paper' }]);
  });

  it('tells a tenant why its task waits, and nothing of who else is there', async () => {
    const heartbeats = [beat({ started: ['a~1', 'b~1'] })];
    const api = await inOrder(await open({ heartbeats }));
    const id = await submit(api, { tenant: 'ours' });
    const caller = { name: 'k', tenant: 'ours', scopes: new Set(['tasks:read'] as const) };
    const { reasons } = await api.services.why.why(id, caller);
    expect(codes(reasons)).toEqual(['all_slots_busy']);
    expect(JSON.stringify(reasons)).not.toContain('w1');
    await expect(api.services.why.why(id, { ...caller, tenant: 'theirs' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('says that the store is away, as an answer', async () => {
    let away = false;
    const api = await open({
      store: (store) =>
        new Proxy(store, {
          get: (target, name) => {
            if (away && name === 'read') return () => Promise.reject(new StoreUnavailableError('no answer'));
            const member = Reflect.get(target, name, target);
            return typeof member === 'function' ? member.bind(target) : member;
          },
        }),
    });
    const id = await submit(api);
    away = true;
    const { status, body } = await call(api, 'GET', `/v1/tasks/${id}/why`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ task: id, state: null, reasons: [{ code: 'store_away' }] });
  });
});
