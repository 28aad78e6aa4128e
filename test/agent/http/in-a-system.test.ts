import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createSystem, httpAgent, type System } from '../../../src/index.ts';
import { AgentServer, lines } from './support.ts';

let server: AgentServer;
let system: System;
beforeAll(async () => {
  server = await AgentServer.start();
  const outside = httpAgent<{ n: number }, { n: number }>({ name: 'outside', url: server.url, allow: ['127.0.0.1'] });
  system = await createSystem({ agents: [outside], settings: { LOG_LEVEL: 'silent', RETRY_BACKOFF: '0s' } });
});
afterAll(async () => {
  await system?.stop();
  await server?.stop();
});

it('is told whose task it is and until when it may work', async () => {
  server.answer = (response) => response.end('{"n":2}');
  const from = Date.now();
  const task = await system.client.submit(
    'outside',
    { n: 1 },
    { tenant: 'acme', session: 's1', timeout: '1m', retry: { maxAttempts: 1 } },
  );
  expect(await task.result({ timeout: '10s' })).toEqual({ n: 2 });
  const { body } = server.asked.at(-1)!;
  expect(body).toMatchObject({ task: task.id, attempt: 1, input: { n: 1 }, tenant: 'acme', session: 's1' });
  expect(body.deadline).toBeGreaterThan(from + 55_000);
  expect(body.deadline).toBeLessThan(Date.now() + 61_000);
});

it('is asked again after a 503, not before the time it named', async () => {
  const times: number[] = [];
  server.answer = (response) => {
    times.push(Date.now());
    if (times.length === 1) response.writeHead(503, { 'retry-after': '1' }).end();
    else response.end('{"n":3}');
  };
  const task = await system.client.submit('outside', { n: 1 });
  expect(await task.result({ timeout: '10s' })).toEqual({ n: 3 });
  expect(server.asked.slice(-2).map(({ headers }) => headers['idempotency-key'])).toEqual([
    `${task.id}/1`,
    `${task.id}/2`,
  ]);
  expect(times[1]! - times[0]!).toBeGreaterThan(900);
});

it('is left when the time of the task is over', async () => {
  let closed = false;
  server.answer = (response, _asked, socket) => {
    socket.once('close', () => {
      closed = true;
    });
    lines(response, { progress: 0.1 });
  };
  const task = await system.client.submit('outside', { n: 1 }, { timeout: 300, retry: { maxAttempts: 1 } });
  await expect(task.result({ timeout: '10s' })).rejects.toMatchObject({ task: { error: { code: 'timeout' } } });
  await vi.waitFor(() => expect(closed).toBe(true));
});
