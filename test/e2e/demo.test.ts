/** The demo on a real Redis: its roles are processes, a killed one loses nothing, and nothing of it is left behind. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { DemoSummary } from '../../src/demo/run.ts';
import { within } from './support/eventually.ts';
import { endWithTest } from './support/process-guard.ts';
import { RedisProcess } from './support/redis-process.ts';
import { BIN } from './support/role-process.ts';

const FILES = 90;
const OWN_KEY = 'agent-system-demonstration:of-somebody-else';

let redis: RedisProcess;
let folder: string;
let out: string;
beforeAll(async () => {
  redis = await RedisProcess.start();
});
afterAll(() => redis?.stop());
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'e2e-demo-'));
  folder = join(out, 'files');
  await mkdir(folder);
  for (let i = 0; i < FILES; i++) await writeFile(join(folder, `f${i}.md`), `# File ${i}\n\nSome words of it.`);
  await redis.call('SET', OWN_KEY, 'stays');
});
afterEach(() => rm(out, { recursive: true, force: true }));

interface Run {
  child: ChildProcessByStdio<null, Readable, Readable>;
  out: string;
  err: string;
  code: Promise<number | null>;
}

/** As typed in a shell, in a directory whose `.env` is about another system. */
function demo(args: string[], env: Record<string, string> = {}): Run {
  const { PATH = '', HOME = '' } = process.env;
  const child = endWithTest(
    spawn(process.execPath, [BIN, 'demo', ...args], {
      cwd: out,
      env: { PATH, HOME, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  const run: Run = { child, out: '', err: '', code: new Promise((resolve) => child.once('close', resolve)) };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    run.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    run.err += text;
  });
  return run;
}

const pidsIn = (text: string) => [...text.matchAll(/\(pid (\d+)\)/g)].map(([, pid]) => Number(pid));

function livingChildren(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => parentOf(name) === pid)
    .map(Number);
}

function parentOf(pid: string): number | null {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return null;
  }
}

const isGone = (pid: number) => parentOf(String(pid)) === null;

async function expectNothingLeft(run: Run): Promise<void> {
  expect(await redis.call('KEYS', '*')).toEqual([OWN_KEY]);
  for (const pid of pidsIn(run.err)) expect(isGone(pid), `pid ${pid} has ended`).toBe(true);
  expect(livingChildren(run.child.pid!)).toEqual([]);
}

it('runs each role as a process with --redis, and leaves neither keys nor processes', async () => {
  await writeFile(join(out, '.env'), 'SHARDS=7\nREDIS_HOST=elsewhere.invalid\nAGENTS=/nowhere.mjs\n');
  const run = demo([folder, '--redis', redis.url, '-o', 'json']);
  expect(await run.code, run.err).toBe(0);
  const { files, processes, workers, crash, json } = JSON.parse(run.out) as DemoSummary;
  expect(files).toBe(FILES);
  expect(crash).toBeNull();
  expect(processes.map(({ role }) => role)).toEqual(['coordinator', 'distributor', 'worker', 'worker', 'worker']);
  expect(pidsIn(run.err)).toEqual(processes.map(({ pid }) => pid));
  expect(workers.reduce((sum, { tasks }) => sum + tasks, 0)).toBe(FILES);
  expect(JSON.parse(await readFile(json, 'utf8')).totals.files).toBe(FILES);
  await expectNothingLeft(run);
}, 60_000);

it('kills a worker process with --crash: its tasks finish elsewhere, each accepted once', async () => {
  const run = demo([folder, '--redis', redis.url, '--crash', '-o', 'json']);
  expect(await run.code, run.err).toBe(0);
  const { files, processes, crash } = JSON.parse(run.out) as DemoSummary;
  expect(files).toBe(FILES);
  expect(crash).toMatchObject({ total: FILES, completed: FILES, acceptedOnce: FILES });
  expect(crash!.pid).toBe(processes.find(({ id }) => id === crash!.worker)!.pid);
  expect(crash!.moved.length).toBeGreaterThan(0);
  for (const { worker } of crash!.moved) expect(worker).not.toBe(crash!.worker);
  expect(run.err).toContain(`${crash!.worker} was killed (SIGKILL, pid ${crash!.pid})`);
  console.log(`${crash!.moved.length} tasks of a killed worker ended within ${crash!.moved.at(-1)!.ms} ms`);
  await expectNothingLeft(run);
}, 60_000);

it('ends its processes and removes its keys at Ctrl-C', async () => {
  const run = demo([folder, '--redis', redis.url, '--crash']);
  await within(20_000, 'the roles run', () => pidsIn(run.err).length >= 5);
  await within(5_000, 'something is stored', async () => ((await redis.call('KEYS', '*')) as string[]).length > 1);
  run.child.kill('SIGINT');
  expect(await run.code).toBe(130);
  await expectNothingLeft(run);
}, 60_000);

it('ends with what the role said when one of them dies that was not to', async () => {
  const run = demo([folder, '--redis', redis.url, '--crash']);
  const pids = await within(20_000, 'the roles run', () => (pidsIn(run.err).length >= 5 ? pidsIn(run.err) : null));
  process.kill(pids![0]!, 'SIGKILL');
  expect(await run.code).toBe(1);
  expect(run.err).toMatch(/coordinator-1 \(pid \d+\) ended by itself \(SIGKILL\)/);
  await expectNothingLeft(run);
}, 60_000);

it('says what is wrong with a Redis that is away, refused or named badly, and starts nothing', async () => {
  const away = demo([folder, '--redis', 'redis://127.0.0.1:1/0']);
  expect(await away.code).toBe(69);
  expect(away.err).toMatch(/127\.0\.0\.1:1/);
  const bad = demo([folder, '--redis', 'localhost:6379']);
  expect(await bad.code).toBe(78);
  expect(bad.err).toMatch(/--redis is .*wanted a URL/);
  for (const run of [away, bad]) expect(pidsIn(run.err)).toEqual([]);
  await redis.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
  try {
    const evicts = demo([folder, '--redis', redis.url]);
    expect(await evicts.code).toBe(78);
    expect(evicts.err).toContain('maxmemory-policy allkeys-lru, wanted noeviction');
    await expectNothingLeft(evicts);
  } finally {
    await redis.call('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
  }
}, 60_000);

it('never shows a secret, a key or a password, in its output or to others on the machine', async () => {
  await redis.call('CONFIG', 'SET', 'requirepass', 'the-password-of-redis');
  await redis.call('AUTH', 'the-password-of-redis');
  try {
    const run = demo([folder, '--redis', `redis://127.0.0.1:${redis.port}/0`], {
      REDIS_PASSWORD: 'the-password-of-redis',
    });
    const pids = await within(20_000, 'the roles run', () => (pidsIn(run.err).length >= 5 ? pidsIn(run.err) : null));
    for (const pid of pids!) {
      const seen = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
      expect(seen.slice(2)).toEqual(['--role', expect.any(String)]);
    }
    expect(await run.code, run.err).toBe(0);
    const report = await readFile(join(out, 'report.json'), 'utf8');
    for (const text of [run.out, run.err, report]) expect(text).not.toContain('the-password-of-redis');
    await expectNothingLeft(run);
  } finally {
    await redis.call('CONFIG', 'SET', 'requirepass', '');
  }
}, 60_000);
