import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/client.ts';
import { createClient } from '../../src/client/http-client.ts';
import { localClient } from '../../src/client/local-client.ts';
import { SseParser } from '../../src/client/sse-parser.ts';
import { aServedSystem, type ServedSystem } from './builders.ts';

let opened: ServedSystem | undefined;

afterEach(async () => {
  await opened?.close();
  opened = undefined;
});

const TRANSPORTS: [string, (system: ServedSystem) => Client][] = [
  ['over HTTP', ({ url }) => createClient({ url })],
  ['in the process', ({ services, context }) => localClient({ ...services, runtime: context.runtime })],
];

describe.each(TRANSPORTS)('events %s', (_name, connect) => {
  async function open(): Promise<{ system: ServedSystem; client: Client }> {
    opened = await aServedSystem();
    return { system: opened, client: connect(opened) };
  }

  it('of a task come as a loop that ends with the task', async () => {
    const { system, client } = await open();
    const handle = await client.submit('echo', { text: 'hi' });
    const seen: string[] = [];
    let last: string | undefined;
    for await (const event of handle.events()) {
      seen.push(event.type);
      if (event.type === 'task.queued') await system.finish(handle.id, { result: 1 });
      if (event.type === 'task.assigned') last = event.cursor;
    }
    expect(seen).toEqual(['task.submitted', 'task.queued', 'task.assigned', 'task.completed', 'end']);
    const rest = [];
    for await (const event of handle.events({ after: last! })) rest.push(event.type);
    expect(rest).toEqual(['task.completed', 'end']);
  });

  it('can be left at any time, which ends the connection', async () => {
    const { system, client } = await open();
    const handle = await client.submit('echo', {});
    const from = Date.now();
    for await (const event of handle.events()) {
      if (event.type === 'task.queued') break;
    }
    const gone = new AbortController();
    setTimeout(() => gone.abort(), 100);
    for await (const _ of handle.events({ after: '1', signal: gone.signal })) throw new Error('an event came');
    await system.close();
    opened = undefined;
    expect(Date.now() - from).toBeLessThan(2_500);
  });

  it('of a task that does not exist are refused', async () => {
    const { client } = await open();
    const read = async () => {
      for await (const _ of client.handle('0'.repeat(25)).events()) throw new Error('an event came');
    };
    await expect(read()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('of the system come to those who subscribed to their type, until they unsubscribe', async () => {
    const { client } = await open();
    const queued: string[] = [];
    const all: string[] = [];
    const off = client.events.subscribe('task.queued', (event) => queued.push(event.type));
    client.events.subscribe('*', (event) => all.push(event.type));
    await client.submit('echo', {});
    await expect
      .poll(async () => {
        if (all.length === 0) await client.submit('echo', {});
        return queued.length > 0 && all.length > 1;
      })
      .toBe(true);
    off();
    const before = queued.length;
    const count = all.length;
    await client.submit('echo', {});
    await expect.poll(() => all.length).toBeGreaterThan(count);
    expect(queued).toHaveLength(before);
    expect(new Set(queued)).toEqual(new Set(['task.queued']));
  });

  it('tell what a listener throws to whoever asked to be told', async () => {
    const { client } = await open();
    const error = new Error('listener');
    const told = new Promise((resolve) => {
      client.events.subscribe(
        '*',
        () => {
          throw error;
        },
        resolve,
      );
    });
    await client.submit('echo', {});
    const cancel = setInterval(() => void client.submit('echo', {}), 50);
    expect(await told).toBe(error);
    clearInterval(cancel);
  });

  it('say why a task waits', async () => {
    const { client } = await open();
    const handle = await client.submit('echo', {});
    expect((await handle.why()).reasons.map(({ code }) => code)).toContain('no_worker_for_agent');
    expect(await client.why(handle.id)).toMatchObject({ task: handle.id, state: 'queued' });
  });
});

describe('a stream over HTTP that is cut off', () => {
  it('goes on behind the last event, without a gap and without a double', async () => {
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      const after = new URL(request.url!, 'http://x').searchParams.get('after') ?? undefined;
      asked.push(after);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const next = Number(after ?? 0) + 1;
      const data = (n: number) => JSON.stringify({ type: n < 4 ? 'task.progress' : 'end', n });
      response.write(`id: ${next}\ndata: ${data(next)}\n\nid: ${next + 1}\ndata: {"type":`, () => response.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = createClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    const seen: string[] = [];
    for await (const event of client.handle('0'.repeat(25)).events()) seen.push(event.cursor);
    expect(seen).toEqual(['1', '2', '3', '4']);
    expect(asked).toEqual([undefined, '1', '2', '3']);
    server.close();
  });
});

describe('the reader of server-sent events', () => {
  const parse = (...pieces: string[]) => {
    const parser = new SseParser();
    return pieces.flatMap((piece) => parser.push(piece));
  };

  it.each([
    ['lines of any kind', ['id: 1\r\ndata: {"a":1}\r\n\r\n']],
    ['pieces cut anywhere', ['i', 'd: 1\nda', 'ta: {"a"', ':1}\n', '\n']],
    ['a break cut in two', ['id: 1\r', '\ndata: {"a":1}\r', '\n\r', '\n']],
    ['data of several lines', ['id: 1\ndata: {"a":\ndata: 1}\n\n']],
    ['comments and unknown fields', [': hi\nretry: 5\nid: 1\nevent: x\ndata: {"a":1}\n\n']],
  ])('takes %s', (_, pieces) => {
    expect(parse(...pieces)).toEqual([{ cursor: '1', event: { a: 1 } }]);
  });

  it('takes a cursor alone, and keeps it for what follows', () => {
    expect(parse('id: 1\n\n', 'data: {}\n\n')).toEqual([{ cursor: '1' }, { cursor: '1', event: {} }]);
  });

  it('gives up on an event without an end', () => {
    const parser = new SseParser();
    expect(() => parser.push('x'.repeat(5 * 1024 * 1024))).toThrow('more than');
  });
});
