/**
 * The fixed sentences of the log, each provoked in a running system and found in what a process wrote. People search for
 * them, alert on them, and read about them in the README, so neither their words nor their fields may change.
 */
import { mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, startCluster } from './support/cluster.ts';
import { within } from './support/eventually.ts';
import type { LogLine, RoleProcess } from './support/role-process.ts';

const AGENTS = ['./support/agents.mjs', './support/telling-agents.mjs'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);
const OTHER_SECRET = 'a-secret-of-another-system-0123456789abcdef';

let cluster: Cluster;
beforeAll(async () => {
  const settings = { LOG_LEVEL: 'DEBUG', AGENTS: AGENTS.join(',') };
  cluster = await startCluster({ coordinators: 2, distributors: 1, workers: 1, settings });
});
afterAll(() => cluster?.stop());

function lines(role: RoleProcess, sentence: string): LogLine[] {
  return role.lines.filter(({ msg }) => msg === sentence);
}

/** A line with this sentence and these fields, from any process. */
function line(sentence: string, fields: object, ms = 10_000): Promise<LogLine> {
  return within(ms, `some process logs "${sentence}" with ${JSON.stringify(fields)}`, () => {
    const found = cluster.roles.flatMap((role) => lines(role, sentence));
    const wanted = Object.entries(fields);
    return found.find((one) => wanted.every(([name, value]) => one[name] === value));
  }) as Promise<LogLine>;
}

async function run(agent: string, input: object = {}): Promise<string> {
  const id = await cluster.submit({ agent, input, retry: { maxAttempts: 2, backoffMs: 50 } });
  await cluster.reaches(id, 'completed failed');
  return id;
}

const TEXT = expect.any(String);
const NUMBER = expect.any(Number);

/** Sentence → how it comes about, at which level, with which fields. */
const SENTENCES: [sentence: string, level: string, provoke: () => Promise<object>, fields: object][] = [
  [
    'Message sent',
    'debug',
    async () => {
      await run('mark');
      return { type: 'task.assign' };
    },
    { sender: 'distributors', receiver: expect.stringMatching(/^worker:w1/), stream: TEXT, jti: TEXT, count: NUMBER },
  ],
  [
    'Message sent',
    'debug',
    async () => {
      await run('mark');
      return { type: 'task.report' };
    },
    { sender: 'worker:w1', receiver: 'coordinators', jti: TEXT, tasks: expect.arrayContaining([TEXT]) },
  ],
  ['Message sent', 'debug', async () => ({ type: 'worker.heartbeat' }), { sender: 'worker:w1', jti: TEXT }],
  [
    'Message received',
    'debug',
    async () => {
      await run('mark');
      return { type: 'task.report' };
    },
    { sender: 'worker:w1', receiver: 'coordinators', jti: TEXT, latencyMs: NUMBER },
  ],
  ['Message received', 'debug', async () => ({ type: 'worker.heartbeat' }), { latencyMs: NUMBER, stream: TEXT }],
  [
    'Task assigned',
    'debug',
    async () => ({ task: await run('mark') }),
    { agent: 'mark', from: 'queued', state: 'assigned', version: NUMBER, attempt: 1, worker: 'w1' },
  ],
  [
    'Task completed',
    'debug',
    async () => ({ task: await run('mark') }),
    { agent: 'mark', state: 'completed', version: NUMBER, attempt: 1, worker: 'w1', runMs: NUMBER },
  ],
  [
    'Task retried',
    'info',
    async () => ({ task: await run('failing') }),
    { state: 'scheduled', attempt: 1, worker: 'w1', code: 'handler_error', waitMs: NUMBER },
  ],
  [
    'Task failed',
    'warn',
    async () => ({ task: await run('failing') }),
    { agent: 'failing', state: 'failed', attempt: 2, worker: 'w1', code: 'handler_error' },
  ],
  [
    'Redis command',
    'debug',
    async () => ({ command: 'commit' }),
    { place: '{as:0}', address: TEXT, ms: NUMBER, code: null, waits: false },
  ],
  ['Redis command', 'debug', async () => ({ command: 'beat' }), { place: '{as:0}', ms: NUMBER }],
  ['Redis command', 'debug', async () => ({ command: 'xread' }), { waits: true }],
  ['Lease renewed', 'debug', async () => ({}), { shard: 0, tookMs: NUMBER }],
  ['Shard ownership renewed', 'debug', async () => ({}), { shard: 0, forMs: NUMBER }],
  [
    'Lease acquisition timeout',
    'debug',
    async () => ({ due: undefined }),
    { shard: 0, tried: NUMBER, waitedMs: NUMBER },
  ],
  [
    'Lease acquisition timeout',
    'info',
    async () => ({ next: 'another coordinator owns the shard, this one stands by' }),
    { shard: 0, tried: NUMBER, waitedMs: NUMBER },
  ],
  [
    'Transaction failed due to state conflict',
    'warn',
    // All of them read the same version, and only one commit can be the first.
    async () => {
      await within(20_000, 'two cancels meet', async () => {
        const id = await cluster.submit({ agent: 'endless', input: {} });
        await cluster.reaches(id, 'running');
        await Promise.all(Array.from({ length: 20 }, () => cluster.call(`/v1/tasks/${id}/cancel`, {})));
        return cluster.roles.some((role) => role.said('Transaction failed due to state conflict'));
      });
      return {};
    },
    { id: TEXT, where: TEXT },
  ],
  [
    'Message signature verification failed',
    'warn',
    async () => {
      cluster.start('worker', 'stranger', { A2A_TOKEN_SECRET: OTHER_SECRET });
      return { stream: 'lease:stranger' };
    },
    { reason: 'key', detail: TEXT, entry: TEXT, next: expect.stringContaining('agent-system keys list') },
  ],
];

it.each(SENTENCES)('says "%s" at %s', async (sentence, level, provoke, fields) => {
  const wanted = await provoke();
  expect(await line(sentence, { ...wanted, level })).toMatchObject({ level, msg: sentence, ...fields });
});

it('bounds what a handler logs, in number and in length', async () => {
  const task = await run('chatty', { lines: 300 });
  const worker = cluster.role('w1');
  const found = lines(worker, 'a line');
  expect(found.length).toBeGreaterThan(0);
  expect(found.length).toBeLessThan(300);
  expect(found[0]).toMatchObject({ task, attempt: 1, attemptId: TEXT, agent: 'chatty', fields: { n: 0 }, cut: NUMBER });
  expect(JSON.stringify(found[0]).length).toBeLessThan(70_000);
});

it('says nothing of single messages, commands and heartbeats at info, and goes on in a new file after SIGHUP', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'agent-system-logs-'));
  const file = join(folder, 'app.log');
  const quiet = cluster.start('worker', 'quiet', { LOG_LEVEL: 'INFO', LOG_FILE: file, LOG_FORMAT: 'json' });
  const ready = async () => (await readFile(file, 'utf8')).includes('"msg":"Ready"');
  await within(10_000, 'the log has "Ready"', ready);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await rename(file, `${file}.1`);
  quiet.signal('SIGHUP');
  quiet.signal('SIGTERM');
  expect(await quiet.exited).toMatchObject({ code: 0 });
  expect(quiet.text).toBe('');
  expect(await readFile(file, 'utf8')).toContain('"msg":"Stopped"');
  const before = await readFile(`${file}.1`, 'utf8');
  expect(before).toContain('"msg":"Ready"');
  expect(before).not.toMatch(/"level":"debug"|Message (sent|received)|Redis command/);
  await rm(folder, { recursive: true });
});

it('says "Redis connection failed", "Lease acquisition timeout" and every retry while Redis is away', async () => {
  const since = Date.now();
  await cluster.redis.kill();
  for (const role of [...cluster.living('coordinator'), cluster.role('w1')]) {
    expect(await role.says('Redis connection failed', { since })).toMatchObject({ where: TEXT, level: 'warn' });
    const retry = await role.says('Retry', { since });
    expect(retry).toMatchObject({ level: 'debug', what: TEXT, tried: NUMBER, waitMs: NUMBER, reason: TEXT });
  }
  expect(await line('Lease acquisition timeout', { level: 'warn' })).toMatchObject({
    reason: expect.stringContaining('Redis connection failed'),
    next: expect.stringContaining('look at Redis'),
  });
  expect(await line('Retry', { what: 'heartbeat' })).toMatchObject({ reason: TEXT });
  expect(await line('Retry', { what: 'connect' })).toMatchObject({ reason: TEXT });
});
