import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/http-client.ts';
import { digestIn, tasksIn } from '../snapshot/world.ts';
import { anApi, type TestApi } from './builders.ts';

let open: TestApi[] = [];
afterEach(async () => {
  await Promise.all(open.map(({ api }) => api.close()));
  open = [];
});

async function opened(over: Parameters<typeof anApi>[0] = {}): Promise<TestApi & { url: string }> {
  const made = await anApi(over);
  open.push(made);
  const { url } = await made.api.listen({ host: '127.0.0.1', port: 0 });
  return { ...made, url };
}

async function withTasks(count: number): Promise<TestApi & { url: string }> {
  const made = await opened();
  const requests = Array.from({ length: count }, (_, n) => ({ agent: 'echo', input: { text: `t${n}` }, key: `k${n}` }));
  await made.tasks.submitMany(requests);
  return made;
}

async function textOf(pieces: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
}

type Body = NonNullable<RequestInit['body']>;

const restore = (url: string, body: Body, query = '', headers = { 'content-type': 'application/x-ndjson' }) =>
  fetch(`${url}/v1/snapshot/restore${query}`, { method: 'POST', body, headers, duplex: 'half' } as RequestInit);

describe('GET /v1/snapshot', () => {
  it('streams lines that are a snapshot, as a file to keep', async () => {
    const { url } = await withTasks(300);
    const answer = await fetch(`${url}/v1/snapshot`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="snapshot.ndjson"');
    const text = await answer.text();
    expect(tasksIn(text)).toHaveLength(300);
    expect(digestIn(text)).toMatch(/^[0-9a-f]{64}$/);
    expect((await fetch(`${url}/v1/snapshot?a=1`)).status).toBe(400);
  });

  it('is one at a time', async () => {
    const { url, services } = await withTasks(1);
    const under = services.snapshots.take();
    await under.next();
    const answer = await fetch(`${url}/v1/snapshot`);
    expect([answer.status, await answer.json()]).toMatchObject([409, { error: { code: 'SNAPSHOT_UNDER_WAY' } }]);
    await under.return(undefined);
    expect((await fetch(`${url}/v1/snapshot`)).status).toBe(200);
  });

  it('is over for others when its client is gone', async () => {
    const { url } = await withTasks(2_000);
    const leaving = new AbortController();
    const pieces = createClient({ url }).snapshot({ signal: leaving.signal })[Symbol.asyncIterator]();
    await pieces.next();
    leaving.abort(new Error('enough'));
    await expect(pieces.next().then(() => pieces.next())).rejects.toThrow('enough');
    await expect.poll(async () => (await fetch(`${url}/v1/snapshot`)).status).toBe(200);
  });

  it('has no end line when it fails on the way, and the fault is told', async () => {
    const made = await opened({
      store: (store) =>
        new Proxy(store, {
          get(target, name) {
            const value = Reflect.get(target, name, target);
            if (name === 'scanUnique') return () => Promise.reject(new Error('the disk is on fire'));
            return typeof value === 'function' ? value.bind(target) : value;
          },
        }),
    });
    await made.tasks.submitMany(
      Array.from({ length: 500 }, () => ({ agent: 'echo', input: { text: 'x'.repeat(500) } })),
    );
    const text = textOf(createClient({ url: made.url }).snapshot());
    await expect(text).rejects.toThrow('cannot reach');
    expect(made.seen).toContainEqual(expect.objectContaining({ type: 'fault', where: 'GET /v1/snapshot' }));
  });

  it('and restoring are for admins', async () => {
    const { url } = await opened({ access: { apiKey: 'a-key-of-an-admin-0123456789', metricsToken: null } });
    expect((await fetch(`${url}/v1/snapshot`)).status).toBe(401);
    expect((await restore(url, 'x')).status).toBe(401);
    const headers = { 'x-api-key': 'a-key-of-an-admin-0123456789' };
    expect((await fetch(`${url}/v1/snapshot`, { headers })).status).toBe(200);
  });
});

describe('POST /v1/snapshot/restore', () => {
  it('puts a snapshot into an empty store, from client to client, and a repeated submit finds its task', async () => {
    const [from, to] = [await withTasks(700), await opened()];
    const pieces = createClient({ url: from.url }).snapshot();
    const report = await createClient({ url: to.url }).restore(pieces);
    expect(report).toMatchObject({ restored: 700, kept: 0, uniqueKeys: 700 });
    const again = await to.tasks.submitMany([{ agent: 'echo', input: { text: 't7' }, key: 'k7' }]);
    expect(again[0]).toMatchObject({ created: false });
    const taken = await textOf(to.services.snapshots.take());
    expect(digestIn(taken)).toBe(report.snapshot.digest);
  });

  it('is refused where there are tasks, unless it is forced', async () => {
    const [from, to] = [await withTasks(3), await withTasks(2)];
    const text = await textOf(from.services.snapshots.take());
    const refused = await restore(to.url, text);
    expect([refused.status, await refused.json()]).toMatchObject([409, { error: { code: 'STORE_NOT_EMPTY' } }]);
    const forced = await restore(to.url, text, '?force=true');
    expect([forced.status, await forced.json()]).toMatchObject([200, { restored: 3, kept: 0 }]);
    expect((await to.tasks.list({})).tasks).toHaveLength(5);
  });

  it('is not bound by MAX_PAYLOAD_BYTES', async () => {
    const [from, to] = [await withTasks(400), await opened({ limits: { maxPayloadBytes: 1_024 } })];
    const text = await textOf(from.services.snapshots.take());
    expect(text.length).toBeGreaterThan(100_000);
    expect((await restore(to.url, text)).status).toBe(200);
  });

  it.each([
    ['nothing', '', '', 400, 'the file is empty'],
    ['what is no snapshot', '{"a":1}\n', '', 400, 'line 1 is not the header of a snapshot'],
    ['an unknown answer to force', '{}\n', '?force=please', 400, 'force'],
  ])('refuses %s', async (_, body, query, status, why) => {
    const { url } = await opened();
    const answer = await restore(url, body, query);
    expect(answer.status).toBe(status);
    expect(JSON.stringify(await answer.json())).toContain(why);
  });

  it('refuses JSON, and elsewhere a snapshot is refused', async () => {
    const { url } = await opened();
    const answer = await restore(url, '{}', '', { 'content-type': 'application/json' });
    expect(answer.status).toBe(415);
    expect(await answer.text()).toContain('application/x-ndjson');
    const headers = { 'content-type': 'application/x-ndjson' };
    expect((await fetch(`${url}/v1/tasks`, { method: 'POST', body: '{}', headers })).status).toBe(415);
  });

  it('writes nothing when the client breaks off', async () => {
    const [from, to] = [await withTasks(50), await opened()];
    const text = await textOf(from.services.snapshots.take());
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from(text.slice(0, text.length / 2));
        throw new Error('cut off');
      })(),
    );
    await expect(restore(to.url, broken as unknown as Body)).rejects.toThrow();
    expect((await to.tasks.list({})).tasks).toEqual([]);
    await expect.poll(async () => (await restore(to.url, text)).status).toBe(200);
    expect(to.seen.filter(({ type }) => type === 'fault')).toEqual([]);
  });
});
