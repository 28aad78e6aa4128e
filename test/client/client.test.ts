import { afterEach, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/client.ts';
import { createClient } from '../../src/client/http-client.ts';
import { localClient } from '../../src/client/local-client.ts';
import { aServedSystem, type ServedSystem } from './builders.ts';

let opened: ServedSystem | undefined;

afterEach(async () => {
  await opened?.close();
  opened = undefined;
});

const FAILURE = { code: 'out_of_paper', message: 'the printer is empty', retryable: false };
const NOBODY = '0'.repeat(25);

const TRANSPORTS: [string, (system: ServedSystem) => Client][] = [
  ['over HTTP', ({ url }) => createClient({ url })],
  ['in the process', ({ services, context }) => localClient({ ...services, runtime: context.runtime })],
];

describe.each(TRANSPORTS)('the client %s', (_name, connect) => {
  async function open(): Promise<{ system: ServedSystem; client: Client }> {
    opened = await aServedSystem();
    return { system: opened, client: connect(opened) };
  }

  it('submits with durations and dates as people write them', async () => {
    const { client } = await open();
    const options = { priority: 'high', timeout: '5m', labels: { team: 'a' }, correlationId: 'c1' } as const;
    const handle = await client.submit('echo', { text: 'hi' }, { ...options, delay: '1h' });
    const task = await handle.task();
    expect(task).toMatchObject({ state: 'scheduled', priority: 8, timeoutMs: 300_000, labels: { team: 'a' } });
    expect(Date.parse(task.runAt!) - Date.parse(task.createdAt)).toBe(3_600_000);
    const require = { worker: 'w9', labels: { zone: 'eu' } };
    const limited = await client.submit('echo', {}, { require, queueTimeout: '30s', totalTimeout: '2m' });
    expect(await limited.task()).toMatchObject({ require, queueTimeoutMs: 30_000, totalTimeoutMs: 120_000 });
    const runAt = new Date('2100-01-02T03:04:05Z');
    expect(await (await client.submit('echo', {}, { runAt })).task()).toMatchObject({ runAt: runAt.toISOString() });
  });

  it('names an option that it cannot read', async () => {
    const { client } = await open();
    const refusal = { code: 'BAD_REQUEST', message: expect.stringMatching(/^delay is "soon", wanted .*30s/) };
    await expect(client.submit('echo', {}, { delay: 'soon' })).rejects.toMatchObject(refusal);
    await expect(client.submit('echo', {}, { timeout: Number.NaN })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await expect(client.submit('echo', {}, { runAt: new Date('x') })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  it('gives the same task for the same key and refuses other content', async () => {
    const { client } = await open();
    const first = await client.submit('echo', { text: 'hi' }, { key: 'k' });
    expect((await client.submit('echo', { text: 'hi' }, { key: 'k' })).id).toBe(first.id);
    await expect(client.submit('echo', { text: 'ho' }, { key: 'k' })).rejects.toMatchObject({ code: 'KEY_CONFLICT' });
  });

  it('answers many submits one by one, in their order', async () => {
    const { client } = await open();
    const answers = await client.submitMany([
      { agent: 'echo', input: { text: 'a' }, key: 'k' },
      { agent: 'nobody', input: 1 },
      { agent: 'echo', input: { text: 'a' }, key: 'k' },
    ]);
    expect(answers[0]).toMatchObject({ created: true, task: { state: 'queued' } });
    expect(answers[1]).toBeInstanceOf(Error);
    expect(answers[1]).toMatchObject({ code: 'UNKNOWN_AGENT' });
    expect(answers[2]).toMatchObject({
      created: false,
      task: { id: (answers[0] as { task: { id: string } }).task.id },
    });
  });

  it('waits for the result', async () => {
    const { system, client } = await open();
    const handle = await client.submit('echo', { text: 'hi' });
    const result = handle.result({ timeout: '20s' });
    await system.finish(handle.id, { result: { text: 'hi' } });
    expect(await result).toEqual({ text: 'hi' });
    expect(await handle.result()).toEqual({ text: 'hi' });
  });

  it('throws what the task failed with, and the task', async () => {
    const { system, client } = await open();
    const handle = await client.submit('echo', { text: 'hi' });
    await system.finish(handle.id, { error: FAILURE });
    await expect(handle.result()).rejects.toMatchObject({
      name: 'TaskFailedError',
      ...FAILURE,
      task: { id: handle.id, state: 'failed', attempt: 1 },
    });
  });

  it('throws the reason that a task was cancelled for', async () => {
    const { client } = await open();
    const handle = await client.submit('echo', { text: 'hi' });
    expect(await handle.cancel('changed my mind')).toMatchObject({ state: 'cancelled' });
    await expect(handle.result()).rejects.toMatchObject({ name: 'TaskCancelledError', message: 'changed my mind' });
  });

  it('ends a wait in time and leaves the task alone', async () => {
    const { client } = await open();
    const handle = await client.submit('echo', { text: 'hi' });
    const over = { name: 'WaitTimeoutError', code: 'WAIT_TIMEOUT', retryable: true, task: { state: 'queued' } };
    await expect(handle.result({ timeout: 30 })).rejects.toMatchObject(over);
    await expect(handle.result({ timeout: 0 })).rejects.toMatchObject(over);
    expect((await handle.task()).state).toBe('queued');
  });

  it('ends a wait with the reason of its signal', async () => {
    const { client } = await open();
    const handle = await client.submit('echo', { text: 'hi' });
    const controller = new AbortController();
    const result = handle.result({ signal: controller.signal });
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(result).rejects.toBe(reason);
  });

  it('lists by every filter', async () => {
    const { client } = await open();
    const wanted = await client.submit(
      'echo',
      { text: 'a' },
      { tenant: 't', labels: { a: '1', b: '=&2' }, correlationId: 'c 1' },
    );
    await client.submit('summarise', { text: 'b' });
    const filters = [
      { agent: 'echo' },
      { tenant: 't' },
      { labels: { a: '1', b: '=&2' } },
      { correlationId: 'c 1' },
      { state: 'queued', agent: 'echo' },
      { state: ['queued', 'running'], tenant: 't', createdBefore: new Date(Date.now() + 60_000) },
    ] as const;
    for (const filter of filters) {
      const page = await client.list(filter as Parameters<Client['list']>[0]);
      expect(page.tasks.map(({ id }) => id)).toEqual([wanted.id]);
    }
    expect((await client.list({ state: 'failed' })).tasks).toEqual([]);
    expect((await client.list({ createdBefore: '2020-01-01T00:00:00Z' })).tasks).toEqual([]);
    const first = await client.list({ limit: 1 });
    const second = await client.list({ limit: 1, cursor: first.nextCursor! });
    expect([first.tasks[0]!.agent, second.tasks[0]!.agent]).toEqual(['summarise', 'echo']);
  });

  it('retries a failed task and tells its history', async () => {
    const { system, client } = await open();
    const { id } = await client.submit('echo', { text: 'hi' });
    await system.finish(id, { error: FAILURE });
    expect(await client.retry(id)).toMatchObject({ id, state: 'queued' });
    const { task, history } = await client.history(id);
    expect(task).toBe(id);
    const states = history.flatMap(({ state }) => state ?? []);
    expect(states).toEqual(['queued', 'assigned', 'failed', 'queued']);
    await expect(client.retry(id)).rejects.toMatchObject({ code: 'WRONG_STATE' });
  });

  it('says of an unknown task that it is not there', async () => {
    const { client } = await open();
    for (const call of [client.task, client.history, client.cancel, client.retry]) {
      await expect(call(NOBODY)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
    await expect(client.handle(NOBODY).result({ timeout: '5s' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(client.task('../agents')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('shows the fleet', async () => {
    const { client } = await open();
    await client.submit('echo', { text: 'hi' });
    expect((await client.queues()).map(({ agent, pending }) => [agent, pending])).toEqual([
      ['echo', 1],
      ['summarise', 0],
    ]);
    expect((await client.agents()).map(({ name }) => name).sort()).toEqual(['echo', 'summarise']);
    expect(await client.workers()).toEqual([]);
    expect(await client.instances()).toEqual([]);
  });
});
