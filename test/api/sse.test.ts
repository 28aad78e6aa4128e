/** What only a stream's own life shows: its heartbeats, its bounds, its slow listeners. */
import { request } from 'node:http';
import { fastify } from 'fastify';
import { describe, expect, it } from 'vitest';
import { EventStreams, STREAMS_MAX, type StreamTimes, TENANT_STREAMS_MAX } from '../../src/api/sse.ts';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import type { Told } from '../../src/service/event-service.ts';
import { openEvents } from './sse-reader.ts';

async function serve(
  events: (signal: AbortSignal) => AsyncGenerator<Told>,
  times: Partial<StreamTimes> = {},
  caller: { tenant: string | null; mayStill: boolean } = { tenant: null, mayStill: true },
) {
  const faults: unknown[] = [];
  const observe = (observation: { type: string }) => void faults.push(observation);
  const streams = new EventStreams({ runtime: systemRuntime, observe, times });
  // A client that broke off may have opened another connection, on which nothing comes.
  const app = fastify({ forceCloseConnections: true });
  app.decorateRequest('caller');
  app.decorateRequest('stillMay', async () => caller.mayStill);
  app.addHook('onRequest', async (request) => {
    request.caller = { name: 'reader', tenant: caller.tenant, scopes: new Set() };
  });
  app.get('/', async (_request, reply) => {
    await streams.serve(reply, async (signal) => events(signal));
    return reply;
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { url, streams, faults, close: () => app.close() };
}

function event(n: number, text = ''): Told {
  return { cursor: String(n), event: { type: 'gap', message: `${n}${text}` } };
}

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())));

describe('an event stream', () => {
  it('shows that it lives while nothing happens, with the place to come back to', async () => {
    const served = await serve(
      async function* (signal) {
        yield { cursor: 'here' };
        await untilAborted(signal);
      },
      { heartbeatMs: 20 },
    );
    const events = await openEvents(served.url);
    await expect.poll(() => events.text().match(/^: $/gm)?.length ?? 0).toBeGreaterThan(2);
    expect(events.text()).toContain(': \nid: here\n\n');
    expect(events.cursor()).toBe('here');
    events.close();
    await served.close();
  });

  it('is not read on while its client takes nothing, and dropped after a while', async () => {
    let given = 0;
    let ended = false;
    const served = await serve(
      async function* () {
        try {
          for (; given < 10_000; given++) yield event(given, 'x'.repeat(10_000));
        } finally {
          ended = true;
        }
      },
      { slowMs: 200 },
    );
    const client = request(served.url);
    client.on('response', (response) => response.pause());
    client.on('error', () => undefined);
    client.end();
    await expect.poll(() => ended, { timeout: 5_000 }).toBe(true);
    // What the sockets of both ends hold, far less than all of it.
    expect(given).toBeLessThan(5_000);
    client.destroy();
    await served.close();
  });

  it('ends what feeds it when its client goes', async () => {
    let aborted = false;
    const served = await serve(async function* (signal) {
      yield event(1);
      await untilAborted(signal);
      aborted = true;
    });
    const events = await openEvents(served.url);
    await events.next(1);
    events.close();
    await expect.poll(() => aborted).toBe(true);
    await served.close();
  });

  it('hands over what was on its way when the server ends it', async () => {
    const served = await serve(async function* (signal) {
      yield event(1);
      await untilAborted(signal);
      yield event(2);
    });
    const events = await openEvents(served.url);
    await events.next(1);
    served.streams.end();
    expect((await events.rest()).map(({ cursor }) => cursor)).toEqual(['2']);
    expect((await openEvents(served.url)).status).toBe(500);
    await served.close();
  });

  it('ends when its caller would not be let in any more', async () => {
    const caller = { tenant: 'a', mayStill: true };
    const served = await serve(
      async function* (signal) {
        yield event(1);
        await untilAborted(signal);
      },
      { recheckMs: 20 },
      caller,
    );
    const events = await openEvents(served.url);
    await events.next(1);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(events.text()).toContain('event: gap');
    caller.mayStill = false;
    expect(await events.rest()).toEqual([]);
    await served.close();
  });

  it('tells of a fault and ends', async () => {
    const served = await serve(async function* () {
      yield event(1);
      throw new Error('no');
    });
    expect(await (await openEvents(served.url)).rest()).toHaveLength(1);
    expect(served.faults).toMatchObject([{ type: 'fault', where: 'event stream' }]);
    await served.close();
  });

  it('is refused when too many are open', async () => {
    const streams = new EventStreams({ runtime: systemRuntime, observe: () => undefined });
    const app = fastify();
    app.decorateRequest('caller');
    app.decorateRequest('stillMay', async () => true);
    app.addHook('onRequest', async (request) => {
      const { tenant } = request.headers;
      request.caller = { name: 'reader', tenant: typeof tenant === 'string' ? tenant : null, scopes: new Set() };
    });
    let open = 0;
    app.get('/', async (_request, reply) => {
      await streams.serve(reply, async (signal) => {
        open += 1;
        await untilAborted(signal);
        return null;
      });
      return reply;
    });
    const ask = (tenant: string) => app.inject({ url: '/', headers: { tenant } });
    const answers = Array.from({ length: TENANT_STREAMS_MAX }, () => ask('loud'));
    await expect.poll(() => open, { timeout: 10_000 }).toBe(TENANT_STREAMS_MAX);
    // One tenant shuts out itself, and nobody else.
    expect((await ask('loud')).json()).toMatchObject({ code: 'TOO_MANY_STREAMS' });
    answers.push(ask('quiet'), ...Array.from({ length: STREAMS_MAX - TENANT_STREAMS_MAX - 1 }, () => app.inject('/')));
    await expect.poll(() => open, { timeout: 10_000 }).toBe(STREAMS_MAX);
    const refused = (await app.inject('/')).json();
    expect(refused).toMatchObject({ code: 'TOO_MANY_STREAMS' });
    streams.end();
    await Promise.all(answers);
    await app.close();
  });
});
