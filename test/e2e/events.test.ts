/** What people see from outside while the processes behind it die: event streams, drained workers, forwarded messages. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { HeardEvent } from '../../src/client/client.ts';
import { createClient } from '../../src/client/http-client.ts';
import { openEvents } from '../api/sse-reader.ts';
import { type Cluster, startCluster } from './support/cluster.ts';
import { within } from './support/eventually.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ coordinators: 2, distributors: 1, workers: 2 });
});
afterAll(() => cluster?.stop());

const OF_ONE_TASK = ['task.submitted', 'task.queued', 'task.assigned', 'task.started', 'task.completed'];

interface Seen {
  type: string;
  task: string;
  cursor: string;
}

/** Reads events into `seen` until the connection is cut; answers the cursor to go on behind. */
async function follow(
  url: string,
  seen: Seen[],
  after?: string,
): Promise<{ over: Promise<string | undefined>; stop: () => void }> {
  const events = await openEvents(`${url}/v1/events?agent=mark`, after === undefined ? {} : { 'last-event-id': after });
  expect(events.status).toBe(200);
  let stopped = false;
  const over = (async () => {
    for (;;) {
      try {
        for (const { cursor, event } of await events.next(1, 1_000)) {
          seen.push({ ...(event as { type: string; task: string }), cursor });
        }
      } catch {
        if (stopped) return events.cursor();
        const before = seen.length;
        const rest = await Promise.race([
          events.rest(),
          new Promise<null>((resolve) => setTimeout(() => resolve(null), 50)),
        ]);
        if (rest === null) continue;
        for (const { cursor, event } of rest) seen.push({ ...(event as { type: string; task: string }), cursor });
        if (before === seen.length) return events.cursor();
      }
    }
  })();
  return {
    over,
    stop: () => {
      stopped = true;
      events.close();
    },
  };
}

it('streams all events through kill -9 of its coordinator, resumed at another: no gap, no double', async () => {
  const [first, second] = [cluster.role('c1'), cluster.role('c2')];
  const seen: Seen[] = [];
  const before = await follow(await first.url(), seen);
  // Taken from the first moment on by the one that will live, for it must not matter who was asked.
  const ids: string[] = [];
  const submit = async (count: number) => {
    for (let n = 0; n < count; n++) {
      const { id } = await createClient({ url: await second.url() }).submit('mark', { ms: 20 });
      ids.push(id);
    }
  };
  await submit(30);
  await within(10_000, 'some were told', () => seen.length > 50);
  const killed = first.kill();
  await submit(30);
  await killed;
  const last = await before.over;
  expect(last).toBeDefined();
  const after = await follow(await second.url(), seen, last);
  await submit(10);
  await cluster.allEnd(ids, 30_000);
  await within(
    10_000,
    'all were told',
    () => seen.filter(({ type }) => type === 'task.completed').length >= ids.length,
  );
  after.stop();
  await after.over;
  for (const id of ids) {
    const types = seen.filter(({ task }) => task === id).map(({ type }) => type);
    // A start that ended in the same turn is told with the end alone.
    expect([OF_ONE_TASK, OF_ONE_TASK.filter((type) => type !== 'task.started')], `${id}: ${types}`).toContainEqual(
      types,
    );
  }
  expect(new Set(seen.map(({ cursor }) => cursor)).size).toBe(seen.length);
  cluster.start('coordinator', 'c1');
  await cluster.role('c1').ready();
}, 60_000);

it("follows one task through the death of its worker and of the stream's coordinator", async () => {
  const url = await cluster.role('c1').url();
  const client = createClient({ url });
  const handle = await client.submit('mark', { ms: 2_500 });
  const seen: HeardEvent[] = [];
  let cut = false;
  try {
    for await (const event of handle.events({ signal: AbortSignal.timeout(20_000) })) {
      seen.push(event);
      if (event.type !== 'task.started' || cut) continue;
      cut = true;
      await cluster.role((event as { worker: string }).worker).kill();
      await cluster.role('c1').kill();
      break;
    }
  } catch (error) {
    expect(error).toBeUndefined();
  }
  const other = createClient({ url: await cluster.role('c2').url() });
  for await (const event of other.handle(handle.id).events({ after: seen.at(-1)!.cursor })) seen.push(event);
  expect(seen.map(({ type }) => type)).toEqual([
    'task.submitted',
    'task.queued',
    'task.assigned',
    'task.started',
    'task.queued',
    'task.assigned',
    'task.started',
    'task.completed',
    'end',
  ]);
  const versions = seen.map((event) => (event as { version: number }).version);
  expect(versions).toEqual([...versions].sort((a, b) => a - b));
  cluster.start('coordinator', 'c1');
  for (const id of ['w1', 'w2'])
    if (!cluster.living('worker').some((one) => one.id === id)) cluster.start('worker', id);
  await cluster.allReady();
}, 60_000);

it('drains a worker from outside: it ends what runs, takes nothing more, and its process exits with 0', async () => {
  const worker = cluster.role('w1');
  const ids = await cluster.submitMany(Array.from({ length: 8 }, () => ({ agent: 'mark', input: { ms: 1_000 } })));
  await within(10_000, 'w1 runs some', async () =>
    (await cluster.each(ids, (id) => cluster.task(id))).some(
      (task) => task.worker === 'w1' && task.state === 'running',
    ),
  );
  const { status, body } = await cluster.call('/v1/workers/w1/drain', { reason: 'new disk' });
  expect([status, body]).toEqual([202, { worker: 'w1', state: 'draining' }]);
  const { code } = await worker.exited;
  expect(code).toBe(0);
  await cluster.allEnd(ids, 20_000);
  for (const id of ids) {
    expect(await cluster.task(id)).toMatchObject({ state: 'completed', attempt: 1 });
    expect(cluster.traces(id).filter(({ event }) => event === 'began')).toHaveLength(1);
  }
  expect((await cluster.call('/v1/workers/w1/drain', {})).status).toBe(404);
  cluster.start('worker', 'w1');
  await cluster.role('w1').ready();
}, 60_000);

it.each(['w1', 'd1', 'c2'])('takes a message at %s and makes a task of it', async (id) => {
  const url = await cluster.role(id).url();
  const send = async (action: string) => {
    const content = { action, ms: 5 };
    const body = JSON.stringify({ sender: 'test', message_type: 'request', content, correlation_id: `c-${id}` });
    const response = await fetch(`${url}/send`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    return {
      status: response.status,
      body: (await response.json()) as { message_id: string; error?: { code: string } },
    };
  };
  const { status, body } = await send('mark');
  expect([status, body]).toEqual([202, { status: 'accepted', message_id: expect.any(String) }]);
  await within(
    5_000,
    'the task is there',
    async () => (await cluster.call(`/v1/tasks/${body.message_id}`)).status === 200,
  );
  const task = await cluster.reaches(body.message_id, 'completed');
  expect(task).toMatchObject({
    agent: 'mark',
    input: { ms: 5 },
    correlationId: `c-${id}`,
    metadata: { sender: 'test' },
  });
  expect(await send('nobody')).toMatchObject({ status: 400, body: { error: { code: 'BAD_REQUEST' } } });
});

it('hands leadership over on request, and says who has it then', async () => {
  const owner = await cluster.owner();
  const answer = await fetch(`${await owner.url()}/v1/cluster/step-down`, { method: 'POST' });
  expect(await answer.json()).toEqual({ steppedDown: [0], elsewhere: [] });
  await within(5_000, 'another one owns it', async () => (await cluster.owner()).id !== owner.id);
  const { owners } = (await cluster.call('/v1/cluster')).body as { owners: { instance: string; url: string }[] };
  expect(owners).toHaveLength(1);
  expect(owners[0]!.instance).not.toBe(owner.id);
  const again = await fetch(`${await owner.url()}/v1/cluster/step-down`, { method: 'POST' });
  expect(await again.json()).toMatchObject({
    steppedDown: [],
    elsewhere: [{ shard: 0, instance: owners[0]!.instance }],
  });
});
